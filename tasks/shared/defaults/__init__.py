"""What a recipe leaves out, derived from the data and one dial."""
