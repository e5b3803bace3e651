"""Comparison of two runs, and of two sets of samples."""
