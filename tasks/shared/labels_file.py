"""Soft labels in a plain file, as they are exported here and made elsewhere: a text, and a number for each class."""

PROBABILITY = "probability_"
"""Begins the names of columns that hold a class's probability; the class follows."""
LOGIT = "logit_"
"""The same, for logits."""
PREDICTED = "label"
"""The column of the class that the teacher names."""
