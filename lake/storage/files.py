"""The parquet files of a table: which partition each belongs to, how large it is, and what proves it unchanged."""

import hashlib
from collections.abc import Iterable

import polars as pl
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler

from lake.contracts.tables import key_column

CHUNK = 16 * 2**20


def list_files(table: DeltaTable, name: str) -> pl.DataFrame:
    """The files of a table at the version it was opened at: path, key of their rows, bytes, written."""
    return pl.DataFrame(table.get_add_actions(flatten=True)).select(
        "path",
        key=f"partition.{key_column(name)}",
        bytes="size_bytes",
        written=pl.from_epoch("modification_time", time_unit="ms").dt.replace_time_zone("UTC"),
    )


def compute_digest(uri: str, paths: Iterable[str], options: dict[str, str]) -> str:
    """SHA-256 in hex over the SHA-256 of each file, in the order of their paths.

    Raises `OSError` where one is gone.
    """
    store, whole = DeltaStorageHandler(uri, options), hashlib.sha256()
    for path in sorted(paths):
        part = hashlib.sha256()
        with store.open_input_file(path) as file:
            while chunk := file.read(CHUNK):
                part.update(chunk)
        whole.update(part.digest())
    return whole.hexdigest()


def find_sizes(uri: str, paths: list[str], options: dict[str, str]) -> dict[str, int]:
    """Path -> bytes of those files that are there."""
    found = DeltaStorageHandler(uri, options).get_file_info(paths)
    return {path: file.size for path, file in zip(paths, found, strict=True) if file.is_file}
