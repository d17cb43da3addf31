"""The user's files of rows: which ones a recipe names, how they are written, and opening them."""
