"""Zip and tar archives, and WebDataset shards."""
