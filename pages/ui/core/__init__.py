"""The data of a page and what every page shows of it."""
