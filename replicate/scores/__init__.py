"""Counts, the scores that follow from them, and how they are packed into text. NumPy and SciPy only."""
