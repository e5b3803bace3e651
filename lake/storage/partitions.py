"""Layout of written rows: the partition of a run or dataset, row groups, compression and statistics."""

import re

import polars as pl
import polars.selectors as cs
from deltalake import ColumnProperties, WriterProperties

from lake.contracts.tables import key_column
from lake.errors import LakeError

RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
IMAGE_ROWS_PER_GROUP, IMAGE_BYTES_PER_GROUP = 1000, 4 * 2**20
"""Limits of a row group, whichever is reached first; showing one image reads a whole row group."""


def image_rows_per_group(images: pl.DataFrame) -> int:
    """Return the number of rows per row group of the table `images`."""
    by_bytes = IMAGE_BYTES_PER_GROUP * len(images) // max(1, int(images.estimated_size()))
    return max(1, min(IMAGE_ROWS_PER_GROUP, by_bytes))


def writer_properties(name: str, frame: pl.DataFrame) -> WriterProperties:
    """Return how the rows of a table are written to parquet.

    Binary columns have no statistics: their minimum and maximum would store a model or an index two more times.
    """
    binary = frame.select(cs.binary()).columns
    return WriterProperties(
        compression="ZSTD",
        max_row_group_size=image_rows_per_group(frame) if name == "images" else None,
        column_properties=dict.fromkeys(binary, ColumnProperties(statistics_enabled="NONE")) or None,
    )


def only_key(name: str, frame: pl.DataFrame, key: str | None) -> str:
    """Return the single run or dataset of the rows to write; raises `LakeError` unless there is one valid key."""
    column = key_column(name)
    keys = set(frame[column] if column in frame.columns else []) | ({key} if key else set())
    if len(keys) != 1 or not RUN_ID.fullmatch(str(*keys)):
        raise LakeError(
            f"{name}: expected rows with one {column} of lower-case letters, digits and dashes, got {[*keys][:3]}."
        )
    return str(*keys)
