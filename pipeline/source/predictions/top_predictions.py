"""Predictions of which only the predicted class was kept: recognised, and refused with what is missing."""

from typing import NoReturn

import polars as pl

from lake.errors import UserError
from pipeline.source.predictions.wide_columns import is_numeric, words_of

CONFIDENCE = {"confidence", "conf", "score", "prob", "probability", "max"}


def find_top(frame: pl.DataFrame, classes: list[str]) -> str | None:
    """The first column whose values are names of classes, or their numbers from 0; None if there is none."""
    keys = {name.casefold() for name in classes}
    for name in frame.columns:
        column = frame[name]
        if not (column.dtype == pl.String or column.dtype.is_numeric() or column.dtype in (pl.Categorical, pl.Enum)):
            continue
        values = column.drop_nulls().unique().cast(pl.String).str.strip_chars().str.to_lowercase()
        if len(values) and (set(values) <= keys or _are_numbers(values, max(2, len(classes)))):
            return name
    return None


def _are_numbers(values: pl.Series, classes: int) -> bool:
    """Whether values are the numbers of classes, from 0."""
    numbers = values.cast(pl.Float64, strict=False)
    return bool((numbers.is_between(0, classes - 1) & (numbers == numbers.floor())).fill_null(value=False).all())


def refuse_top(frame: pl.DataFrame, column: str, classes: list[str]) -> NoReturn:
    """Raise `UserError` that says what is missing, with three lines that convert a class and its confidence."""
    numbers = f"all {len(classes):,} numbers" if classes else "a number for each class"
    missing = (
        f"The column {column!r} says only which class is predicted, but {numbers} of each row are needed for losses "
        "and calibration: store the whole output of the model, as one column of lists or one column per class."
    )
    confidence = next(
        (
            name
            for name in frame.columns
            if CONFIDENCE & set(words_of(name)) and name != column and is_numeric(frame[name])
        ),
        None,
    )
    if confidence is None or len(classes) < 2:
        raise UserError(missing)

    values = (
        classes if frame[column].dtype == pl.String and not is_numeric(frame[column]) else list(range(len(classes)))
    )
    raise UserError(
        f"{missing} If only {confidence!r} was kept, these lines share the rest equally among the other classes, which "
        "is an assumption:\n"
        f'rest = (1 - pl.col("{confidence}")) / {len(classes) - 1}\n'
        f'each = [pl.when(pl.col("{column}") == c).then("{confidence}").otherwise(rest) for c in {values}]\n'
        'table.with_columns(pl.concat_list(each).alias("probabilities")).write_parquet("predictions.parquet")'
    )
