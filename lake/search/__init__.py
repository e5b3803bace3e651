"""Similarity search: unit vectors, exact search and the approximate index that proposes candidates."""
