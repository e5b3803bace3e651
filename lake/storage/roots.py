"""Checks of the root of a lake: not a folder, tables of other origin, truncated files."""

import os
import stat
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from lake.contracts.tables import TABLES
from lake.errors import LakeError

AS_FOLDER = "but a lake must be a folder: name another one with --lake."


def check_folder(root: str) -> None:
    """Raise `LakeError` if the root of a local lake exists but is not a folder."""
    if "://" in root:
        return
    try:
        mode = Path(root).stat().st_mode
    except FileNotFoundError:
        if Path(root).is_symlink():
            raise LakeError(f"{root} is a broken link, {AS_FOLDER}") from None
        return
    except OSError as error:
        raise LakeError(f"{root} cannot be opened ({error.strerror}): name another folder with --lake.") from None
    if not stat.S_ISDIR(mode):
        raise LakeError(f"{root} is {'a file' if stat.S_ISREG(mode) else 'not a folder'}, {AS_FOLDER}")


def find_file_as_table(root: str) -> str | None:
    """Return the first table of a local lake that is a file instead of a folder; None if there is none."""
    return next((name for name in TABLES if Path(root, name).is_file()), None)


def check_columns(name: str, stored: set[str], address: str) -> None:
    """Raise `LakeError` if a table lacks columns that every version of latentlake has written."""
    required = [*TABLES[name].primary_key(), *(["format_version"] if name == "runs" else [])]
    if missing := [column for column in required if column not in stored]:
        raise LakeError(
            f"{address} is not a latentlake table (it lacks {' and '.join(missing)}): name another folder with --lake."
        )


def check_files(table: DeltaTable, folder: Path, partition: str, root: str) -> None:
    """Raise `LakeError` if a file of a table in a local folder is truncated, as after an incomplete copy.

    polars would panic on it. Missing files are left for polars to report.
    """
    files = pl.DataFrame(table.get_add_actions(flatten=True)).select("path", "size_bytes")
    for path, size in files.filter(pl.col("path").str.starts_with(partition)).iter_rows():
        if (actual_size := _size(folder / path)) is not None and actual_size < size:
            raise LakeError(
                damage_message(root, f"{folder.name}/{path} is truncated: it has {actual_size:,} of {size:,} bytes")
            )


def damage_message(root: str, what: str) -> str:
    """Return the message for a damaged lake."""
    return f"The lake {root} cannot be read ({what}): restore it from a backup, or name another folder with --lake."


def _size(file: Path) -> int | None:
    try:
        return os.stat(file).st_size  # noqa: PTH116
    except OSError:
        return None
