"""Numbers of every sample: scores, neighbours, coordinates, clusters, image properties, duplicates."""
