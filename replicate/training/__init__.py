"""The one training loop, with its batches, its optimiser and its checkpoints. It knows no stage."""
