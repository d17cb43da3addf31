"""What a label is, and which class it means: one rule for every file, data set and part."""
