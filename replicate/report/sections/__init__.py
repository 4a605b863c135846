"""One part of a page a module."""
