"""Publish a run: compute what is missing, write it, and let readers see it or not."""
