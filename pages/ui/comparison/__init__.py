"""Changes between two runs, one module for each part."""
