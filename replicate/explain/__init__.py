"""Which characters decided a label, as numbers for each character. It asks a model, and changes none."""
