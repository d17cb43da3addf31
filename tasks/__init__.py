"""The steps, a file each: files, tracking and resources around what `models` computes."""
