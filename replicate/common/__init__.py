"""What every room uses: errors, checks, files, paths, progress. It knows nothing of nets, tables or records."""
