"""How rows are cut where they are written: by the run or dataset they are of, and images into row groups."""

import re

import polars as pl

from lake.contracts.tables import key_column
from lake.errors import LakeError

RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
IMAGE_ROWS_PER_GROUP, IMAGE_BYTES_PER_GROUP = 1000, 4 * 2**20
"""Whichever is less: to show one image a whole row group is fetched."""


def image_rows_per_group(images: pl.DataFrame) -> int:
    """Rows of a row group of the table `images`."""
    by_bytes = IMAGE_BYTES_PER_GROUP * len(images) // max(1, int(images.estimated_size()))
    return max(1, min(IMAGE_ROWS_PER_GROUP, by_bytes))


def only_key(name: str, frame: pl.DataFrame, key: str | None) -> str:
    """The one run or dataset that rows to be written are of; raises `LakeError` where they are of another number."""
    column = key_column(name)
    found = set(frame[column] if column in frame.columns else []) | ({key} if key else set())
    if len(found) != 1 or not RUN_ID.fullmatch(str(*found)):
        raise LakeError(f"{name}: expected rows of one {column} in lower case, digits and dashes, got {[*found][:3]}.")
    return str(*found)
