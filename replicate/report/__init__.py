"""Findings become pages. Nothing here computes a result."""
