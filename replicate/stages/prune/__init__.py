"""Pruning a fine-tuned classifier, by one of four engines."""
