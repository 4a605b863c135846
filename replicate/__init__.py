"""Replicates a published ERNIE 3.0 table with several seeds and stated verdicts."""
