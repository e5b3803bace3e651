"""Per-sample measurements: scores, neighbours, coordinates, clusters, image properties and duplicates."""
