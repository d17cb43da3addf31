"""The report of a run: what it is made of, its figures, its pages."""
