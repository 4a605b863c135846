"""What the records say, as values. No Markdown, no files."""
