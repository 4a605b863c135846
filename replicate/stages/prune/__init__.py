"""Pruning a fine-tuned classifier, by one of three engines."""
