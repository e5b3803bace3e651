"""The parquet files of a table: partitions, sizes and checksums."""

import hashlib
from collections.abc import Iterable

import polars as pl
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler

from lake.contracts.tables import key_column

CHUNK = 16 * 2**20


def list_files(table: DeltaTable, name: str) -> pl.DataFrame:
    """List the files of a table at its opened version: path, key of the rows, bytes and time written."""
    return pl.DataFrame(table.get_add_actions(flatten=True)).select(
        "path",
        key=f"partition.{key_column(name)}",
        bytes="size_bytes",
        written=pl.from_epoch("modification_time", time_unit="ms").dt.replace_time_zone("UTC"),
    )


def compute_digest(uri: str, paths: Iterable[str], options: dict[str, str]) -> str:
    """Return the SHA-256 (hex) of the concatenated SHA-256 digests of the files, ordered by path.

    Raises `OSError` if a file is missing.
    """
    store, table_digest = DeltaStorageHandler(uri, options), hashlib.sha256()
    for path in sorted(paths):
        file_digest = hashlib.sha256()
        with store.open_input_file(path) as file:
            while chunk := file.read(CHUNK):
                file_digest.update(chunk)
        table_digest.update(file_digest.digest())
    return table_digest.hexdigest()


def find_sizes(uri: str, paths: list[str], options: dict[str, str]) -> dict[str, int]:
    """Return the sizes in bytes of the files that exist, by path."""
    infos = DeltaStorageHandler(uri, options).get_file_info(paths)
    return {path: file.size for path, file in zip(paths, infos, strict=True) if file.is_file}
