"""The classifier: architecture, training, checkpoints and loading."""
