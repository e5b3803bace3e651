"""Numbers that polars types as any value a column may hold."""

import polars as pl


def number(value: object) -> float:
    """The value, checked to be a number."""
    assert isinstance(value, int | float), value
    return value


def mean(values: pl.Series) -> float:
    return number(values.mean())
