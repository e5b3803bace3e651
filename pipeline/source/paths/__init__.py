"""Files that the texts of a table mean."""
