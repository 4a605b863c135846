"""Asks become artefacts and records: the plan, the store, and the one loop that runs stages."""
