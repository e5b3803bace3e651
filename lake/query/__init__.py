"""Queries behind the pages: they take a run or a lazy frame and return a lazy frame."""
