"""The lake: contracts, publish protocol and the questions pages ask. Imports neither torch nor streamlit."""

from lake.store import Lake


def open(root: str) -> Lake:
    """The lake at a root, a folder or an object-store URL; `.run("latest").scan(table)` is a polars LazyFrame."""
    return Lake(root)
