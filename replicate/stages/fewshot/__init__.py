"""Stages for few labels: which lines are labelled, and the ways to learn from them."""
