"""Numbers that polars gives with the type of anything a column may hold."""

import polars as pl


def number(value: object) -> float:
    """The value, which is a number."""
    assert isinstance(value, int | float), value
    return value


def mean(values: pl.Series) -> float:
    return number(values.mean())
