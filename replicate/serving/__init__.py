"""Answers over HTTP. The nets behind it are those of `inference`."""
