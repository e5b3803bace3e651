"""Charts of altair and pictures, for pages and reports alike."""
