"""The whole of a source: read by its kind, understood, asked about where it is unclear, and summarised."""
