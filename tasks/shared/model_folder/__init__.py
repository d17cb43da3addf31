"""What can be told of a model by its folder's files alone, in a moment and without loading it."""
