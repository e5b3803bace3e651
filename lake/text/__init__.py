"""Numbers and intervals in words."""
