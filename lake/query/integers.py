"""Integer columns of the sample table: measurements, or ids whose digits neither a float nor a browser can hold."""

import polars as pl

LARGEST = 2**53 - 1
"""All integers up to this one are exact as a float, and as a number in JavaScript."""


def holds_ids(values: pl.Series) -> bool:
    """Return whether a column holds integers above `LARGEST`: ids, to be shown as text and never measured."""
    if not values.dtype.is_integer():
        return False
    low, high = values.alias("v").to_frame().select(low=pl.min("v"), high=pl.max("v")).row(0)
    return low is not None and (low < -LARGEST or high > LARGEST)


def is_measure(values: pl.Series) -> bool:
    """Return whether a metadata column holds numbers to measure by: floats, and integers that are not ids."""
    return values.dtype.is_float() or (values.dtype.is_integer() and not holds_ids(values))


def ids_as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows as a browser shows them with all digits: a column of ids is text."""
    return frame.with_columns(pl.col(column.name).cast(pl.String) for column in frame if holds_ids(column))
