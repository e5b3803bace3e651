"""The columns of a table that nothing is read from: which of them can be predictions, and which metadata."""

from dataclasses import dataclass

import polars as pl

from pipeline.source.columns.metadata import text_columns
from pipeline.source.meaning.class_order import natural_order
from pipeline.source.predictions.prediction_columns import suspect_predictions
from pipeline.source.printable import show
from pipeline.source.text.decimal_numbers import to_numbers
from pipeline.source.understanding.understand import Understanding

MOST_NAMED = 12
MOST_VALUES = 50
"""Values up to which a column of text divides the images into groups that can be compared."""


@dataclass(frozen=True)
class OtherColumn:
    """A column that is not used, with values that differ."""

    name: str
    kind: str
    """What its values are, for people."""
    is_useful: bool
    """Whether images can be filtered and coloured by it: numbers, or few different values."""


def find_other_columns(understanding: Understanding) -> list[OtherColumn]:
    """The unused columns in their order, without those that are empty or have a single value."""
    own, listing = understanding.own, understanding.listing
    rows = [image.row for image in listing.images]
    if not rows or not listing.table.width:
        return []
    used = [*listing.used, *own.metadata, *([own.group_column] if own.group_column else [])]
    columns = {name: column.gather(rows).drop_nulls() for name, column in text_columns(listing.table, used).items()}
    return [
        _judge(name, column, decimal_commas=listing.decimal_commas)
        for name, column in columns.items()
        if column.n_unique() > 1
    ]


def tell_other_columns(understanding: Understanding) -> list[str]:
    """Lines on what is not used and how to use it; empty if there is nothing."""
    predictions = _suspect_predictions(understanding)
    columns = [column for column in find_other_columns(understanding) if column.name not in predictions]
    return [line for line in (_tell_predictions(predictions), _tell_rest(columns)) if line]


def _suspect_predictions(understanding: Understanding) -> list[str]:
    """The columns that look like predictions, if the settings do not ask for any."""
    listing = understanding.listing
    if understanding.own.predictions is not None or not listing.table.width:
        return []
    labels = natural_order({image.label for image in listing.images if image.label is not None})
    return suspect_predictions(listing.table.drop(listing.used, strict=False), labels)


def _tell_predictions(columns: list[str]) -> str:
    if not columns:
        return ""
    named = show(columns[0]) + (f" to {show(columns[-1])}" if columns[1:] else "")
    return f"{named} may be predictions: with a section [dataset.predictions], no model is trained and these are used"


def _tell_rest(columns: list[OtherColumn]) -> str:
    if not columns:
        return ""
    named = ", ".join(f"{show(column.name)} ({column.kind})" for column in columns[:MOST_NAMED])
    more = f" and {len(columns) - MOST_NAMED:,} more" if len(columns) > MOST_NAMED else ""
    advice = "; to filter, colour and compare by one, name it in metadata" if any(c.is_useful for c in columns) else ""
    return f"not used: {named}{more}{advice}"


def _judge(name: str, column: pl.Series, *, decimal_commas: bool) -> OtherColumn:
    distinct = column.n_unique()
    if distinct <= MOST_VALUES:
        return OtherColumn(name, f"{distinct} values", is_useful=True)
    numbers = column if column.dtype.is_numeric() else to_numbers(column.cast(pl.String), decimal_commas=decimal_commas)
    if numbers is not None:
        is_id = distinct == len(column) and numbers.dtype.is_integer()
        return OtherColumn(name, "unique numbers" if is_id else "numbers", is_useful=not is_id)
    kind = "unique" if distinct == len(column) else f"{distinct:,} values"
    return OtherColumn(name, kind, is_useful=False)
