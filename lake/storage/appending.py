"""Append-only tables that users write to; safe for concurrent writers.

Each append is one Delta commit with its own transaction id, so that a retry neither loses nor duplicates it. A row is
undone by a later one that names it in `undoes`. Files are not compacted here: concurrent compactions duplicate rows
(deltalake 1.6).
"""

import datetime as dt
import random
import threading
import time
import uuid
from typing import Any

import polars as pl
from deltalake.exceptions import DeltaError

from lake.contracts.tables import TABLES, key_column
from lake.errors import LakeError
from lake.storage.store import Lake

TRIES, LONGEST_PAUSE = 60, 0.5
MAX_NOTE, MAX_NAME = 2000, 80
MAX_PERSON = 254  # longest valid e-mail address
_LOCK = threading.Lock()  # users of one server take turns instead of causing commit conflicts


def append_rows(lake: Lake, table: str, rows: list[dict[str, Any]], *, moment: str) -> list[str]:
    """Append rows in one commit, each with a new id and, in the column `moment`, the time; return the ids.

    Raises `LakeError` if the lake cannot be written.
    """
    row_id, now = id_column(table), dt.datetime.now(dt.UTC)
    complete_rows = [
        {**row, row_id: uuid.uuid4().hex, moment: now + dt.timedelta(microseconds=i)} for i, row in enumerate(rows)
    ]
    frame = pl.DataFrame(complete_rows, schema={n: c.dtype for n, c in TABLES[table].columns().items()})
    ids = [str(row[row_id]) for row in complete_rows]
    _append(lake, table, TABLES[table].validate(frame, cast=True), transaction=f"{table}/{ids[0]}")
    return ids


def scan_rows(lake: Lake, table: str, dataset_id: str, *, moment: str) -> pl.LazyFrame:
    """Return all rows of a dataset, including undone ones, oldest first."""
    if not lake.has(table, dataset_id):
        return TABLES[table].create_empty().lazy()
    return lake.staged(table, dataset_id).sort(moment, id_column(table))


def active_rows(table: str, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows that neither undo another nor have been undone."""
    row_id = id_column(table)
    undone_ids = rows.select(pl.col("undoes").alias(row_id)).drop_nulls()
    return rows.filter(pl.col("undoes").is_null()).join(undone_ids, on=row_id, how="anti", maintain_order="left")


def id_column(table: str) -> str:
    """Return the column with the id of a row."""
    (name,) = (column for column in TABLES[table].primary_key() if column != key_column(table))
    return name


def _append(lake: Lake, table: str, frame: pl.DataFrame, *, transaction: str) -> None:
    for attempt in range(TRIES):
        try:
            with _LOCK:
                lake.append_once(table, frame, transaction=transaction, partition_by=key_column(table))
            return
        except (DeltaError, OSError) as error:
            if attempt + 1 == TRIES:
                raise LakeError(
                    f"The {table.removesuffix('s')} could not be written to the lake {lake.root} ({error}): check its "
                    "permissions and free space, then try again."
                ) from error
            time.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.01 * 2**attempt)))
