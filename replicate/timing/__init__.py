"""Inference timed: contestants that run in turn, records of their raw seconds, and the goals judged from a record."""
