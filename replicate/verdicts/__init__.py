"""Numbers in, a verdict out. Nothing here reads a file, knows a table or a record, or says more than a reason."""
