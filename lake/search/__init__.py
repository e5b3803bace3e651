"""Similar samples: unit vectors, exact search and the index that proposes."""
