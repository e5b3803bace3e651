"""Metadata columns of a table: integers, numbers or text, under names that are valid in expressions and addresses."""

from collections.abc import Iterable

import polars as pl

from lake.errors import UserError
from lake.query.joined_samples import reserved_columns
from pipeline.config.dataset import DatasetSettings
from pipeline.source.text.decimal_numbers import to_numbers


def metadata_columns(table: pl.DataFrame, own: DatasetSettings, *, decimal_commas: bool) -> dict[str, pl.Series]:
    """The columns of `metadata_names`, by row: Int64, Float64 without NaN, or text.

    Raises `UserError` if a column holds neither text nor numbers.
    """
    return {column_name(name): _read(table[name], own, decimal_commas) for name in metadata_names(own)}


def metadata_names(own: DatasetSettings) -> list[str]:
    """The columns that the setting `metadata` names, and that of `group_column` unless its name is taken.

    With the groups, one can see whether they lie in several splits.
    """
    taken = {*own.groups, *reserved_columns(), *map(column_name, own.metadata)}
    is_free = own.group_column and column_name(own.group_column) not in taken
    return [*own.metadata, own.group_column] if own.group_column and is_free else list(own.metadata)


def column_name(column: str) -> str:
    """A column name that is valid in expressions and URLs: letters, digits and _."""
    words = "".join(c if f"_{c}".isidentifier() else " " for c in column).split()
    name = "_".join(words)
    return name if name.isidentifier() else f"_{name}"


def text_columns(table: pl.DataFrame, besides: Iterable[str]) -> dict[str, pl.Series]:
    """The columns of single values that are not among `besides`."""
    left = [name for name in table.columns if name not in set(besides)]
    return {name: table[name] for name in left if not table[name].dtype.is_nested() and table[name].dtype != pl.Binary}


def _read(column: pl.Series, own: DatasetSettings, decimal_commas: bool) -> pl.Series:
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        raise UserError(
            f"The column {column.name!r} of {own.source} has type {column.dtype}, but metadata is text or numbers."
        )
    if column.dtype.is_integer():
        integers = column.cast(pl.Int64, strict=False)
        return integers if integers.null_count() == column.null_count() else column.cast(pl.String)
    if column.dtype.is_numeric():
        numbers = column.cast(pl.Float64)
        return numbers.set(~numbers.is_finite(), None)
    texts = column.cast(pl.String)
    found = to_numbers(texts, decimal_commas=decimal_commas)
    return texts if found is None or found.null_count() == len(found) else found
