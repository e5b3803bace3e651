"""One schema for the shards of a table: columns and types that differ without harm are brought together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from lake.errors import UserError
from pipeline.source.notes import Notes

Splits = Sequence[str | None]
TEXTS = (pl.String, pl.Categorical, pl.Enum)


def unite(files: Sequence[Path], schemas: Sequence[pl.Schema], splits: Splits, notes: Notes) -> pl.Schema:
    """The schema of all shards: the columns of the first that has all.

    Integers of different width, missing values without a type, and kinds of text are united. A column that a whole
    split lacks, such as the labels of a test split, is missing there, which is noted. Raises `UserError` that names the
    file that differs otherwise.
    """
    widest = max(range(len(schemas)), key=lambda i: len(schemas[i]))
    united = pl.Schema(schemas[widest])
    for file, schema in zip(files, schemas, strict=True):
        for name, dtype in schema.items():
            if name not in united:
                raise _differs(file, f"has the column {name!r}", files[widest], "has not")
            common = _common(united[name], dtype)
            if common is None:
                raise _differs(file, f"has {dtype} in the column {name!r}", files[widest], f"has {united[name]}")
            united[name] = common
    for name in united:
        _judge_absent(name, files, schemas, splits, notes)
    return united


def conform(frame: pl.LazyFrame, schema: pl.Schema, united: pl.Schema) -> pl.LazyFrame:
    """A shard with the columns and types of all; columns that it lacks are null."""
    return frame.select(
        pl.lit(None, dtype).alias(name)
        if name not in schema
        else pl.col(name)
        if schema[name] == dtype
        else pl.col(name).cast(dtype)
        for name, dtype in united.items()
    )


def _judge_absent(name: str, files: Sequence[Path], schemas: Sequence[pl.Schema], splits: Splits, notes: Notes) -> None:
    """Refuse a column that some files of a split lack; note one that all of its files do."""
    having = {split for split, schema in zip(splits, schemas, strict=True) if name in schema}
    lacking = {split for split, schema in zip(splits, schemas, strict=True) if name not in schema}
    if both := having & lacking:
        lacks = next(i for i, schema in enumerate(schemas) if name not in schema and splits[i] in both)
        has = next(i for i, schema in enumerate(schemas) if name in schema)
        raise _differs(files[lacks], f"has no column {name!r}", files[has], "has one")
    notes.remarks += [f"The files of the split {split} have no column {name!r}." for split in sorted(map(str, lacking))]


def _differs(file: Path, has: str, other: Path, other_has: str) -> UserError:
    return UserError(
        f"The files of the table differ: {file} {has}, but {other.name} {other_has}. Set source in [dataset] to the "
        "files that belong together."
    )


def _common(one: pl.DataType, two: pl.DataType) -> pl.DataType | None:
    """The type that holds the values of both exactly; None if there is none."""
    if one == two or two == pl.Null:
        return one
    if one == pl.Null:
        return two
    if isinstance(one, TEXTS) and isinstance(two, TEXTS):
        return pl.String()
    if one.is_integer() and two.is_integer():
        return _wider(one, two)
    if one.is_float() and two.is_float():
        return pl.Float64()
    if isinstance(one, pl.List) and isinstance(two, pl.List):
        inner = _common(_type(one.inner), _type(two.inner))
        return pl.List(inner) if inner is not None else None
    if isinstance(one, pl.Struct) and isinstance(two, pl.Struct):
        return _common_struct(one, two)
    return None


def _wider(one: pl.DataType, two: pl.DataType) -> pl.DataType | None:
    """Int64 holds all integers except those of more bits or unsigned ones of 64."""
    fits = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)
    return pl.Int64() if isinstance(one, fits) and isinstance(two, fits) else None


def _common_struct(one: pl.Struct, two: pl.Struct) -> pl.Struct | None:
    other = {part.name: _type(part.dtype) for part in two.fields}
    if [part.name for part in one.fields] != list(other):
        return None
    parts = {part.name: _common(_type(part.dtype), other[part.name]) for part in one.fields}
    known = {name: dtype for name, dtype in parts.items() if dtype is not None}
    return pl.Struct(known) if len(known) == len(parts) else None


def _type(dtype: Any) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype
