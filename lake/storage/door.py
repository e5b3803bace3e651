"""Access to Delta tables in folders of any name.

deltalake (1.6) and polars (2.1) convert the path of a table to a URL and back, and lose or reject many characters on
the way: none of `My Projects`, `50%`, `[1]` and `ü` survives both. However, they follow symbolic links inside the
folder of a table. A table whose path has special characters is therefore opened through a *door*: a folder with a plain
name, private to this process, whose entries link to those of the table. Data written through it end up in the table.
"""

import atexit
import io
import os
import re
import shutil
import tempfile
import time
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

import polars as pl
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.transaction import AddAction

from lake.errors import LakeError

PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
LOG = "_delta_log"
TEMPORARY = (tempfile.gettempdir, lambda: "/tmp", lambda: "/var/tmp", lambda: "/dev/shm")


class Door:
    """A folder with a plain name that holds a link to every entry of a table's folder."""

    def __init__(self, table: str) -> None:
        self.table = Path(table)
        self.path = _doors(os.getpid()) / uuid.uuid4().hex

    def open(self) -> str:
        """Update the links to the current entries of the table's folder, if any, and return the path of the door."""
        self.path.mkdir(parents=True, exist_ok=True)
        entries, links = _names(self.table), _names(self.path)
        for name in links - entries:
            (self.path / name).unlink(missing_ok=True)
        for name in entries - links:
            with suppress(FileExistsError):
                (self.path / name).symlink_to(self.table / name)
        return str(self.path)

    def make_folders(self, *names: str) -> None:
        """Create folders of the table before writing to them through the door."""
        for name in names:
            (self.table / name).mkdir(parents=True, exist_ok=True)
        self.open()

    def delete(self, paths: list[str]) -> None:
        """Delete files that were deleted through the door, which removes only the links of top-level files."""
        for path in paths:
            (self.table / path).unlink(missing_ok=True)


def find_door(table: str) -> Door | None:
    """Return the door to a table; None if its path is plain or a URL."""
    if "://" in table or PLAIN.fullmatch(resolved := os.path.realpath(table)):
        return None
    return _door(resolved, os.getpid())


def plain_path(table: str) -> str:
    """Return a path that deltalake and polars can open: that of the table or of its door."""
    door = find_door(table)
    return table if door is None else door.open()


def open_table(table: str, **options: Any) -> DeltaTable:
    """Open a `DeltaTable` in a folder of any name; raises the errors of deltalake."""
    delta_table = DeltaTable(plain_path(table), **options)
    plain_path(table)  # link what was written while the log was read
    return delta_table


def write_table(
    table: str, frame: pl.DataFrame, *, onto: DeltaTable | None = None, partition_by: str | None = None, **options: Any
) -> None:
    """Write with `write_deltalake` in a folder of any name, onto the table as opened or else its newest version.

    Rows of a partitioned table must all have the same key. Raises the errors of deltalake.
    """
    door = find_door(table)
    if door is None:
        write_deltalake(onto or table, frame, partition_by=partition_by, **options)
    elif partition_by is None:
        _write_unpartitioned(door, onto, frame, **options)
    else:
        door.make_folders(LOG, *(f"{partition_by}={key}" for key in frame[partition_by].unique()))
        write_deltalake(onto or door.open(), frame, partition_by=partition_by, **options)


def _write_unpartitioned(
    door: Door,
    onto: DeltaTable | None,
    frame: pl.DataFrame,
    *,
    mode: Literal["append", "overwrite"],
    commit_properties: CommitProperties | None = None,
    **options: Any,
) -> None:
    """Write the file to the folder of the table, then commit it; deltalake would leave it in the door."""
    table = onto or _open(door, **options)
    if table is None or set(frame.columns) - {field.name for field in table.schema().fields}:
        door.make_folders(LOG)
        write_deltalake(table or door.open(), frame.clear(), mode="append", **options)
        table = _open(door, **options)
    assert table is not None, "it was made above"
    add_action = _write_file(door.table, frame)
    table.create_write_transaction([add_action], mode, table.schema(), commit_properties=commit_properties)


def _open(door: Door, storage_options: dict[str, str] | None = None, **_: Any) -> DeltaTable | None:
    path = door.open()
    return (
        DeltaTable(path, storage_options=storage_options) if DeltaTable.is_deltatable(path, storage_options) else None
    )


def vacuum_table(table: str, delta_table: DeltaTable, **options: Any) -> list[str]:
    """Run `DeltaTable.vacuum` on a table in a folder of any name and return the paths that it lists."""
    paths = delta_table.vacuum(**options)
    door = find_door(table)
    if door is not None and not options["dry_run"]:
        door.delete(paths)
    return paths


def _write_file(folder: Path, frame: pl.DataFrame) -> AddAction:
    name, content = f"part-00000-{uuid.uuid4()}-c000.zstd.parquet", io.BytesIO()
    frame.write_parquet(content)  # to memory: on a full disk polars would report the file as "out of specification"
    with (folder / name).open("xb") as file:
        size = file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    return AddAction(name, size, {}, int(time.time() * 1000), True, f'{{"numRecords": {len(frame)}}}')


@cache
def _door(table: str, process: int) -> Door:  # noqa: ARG001
    return Door(table)


@cache
def _doors(process: int) -> Path:
    """Return the folder of this process's doors; a forked process has its own and removes only that."""
    for find in TEMPORARY:
        folder = os.path.realpath(find())
        if PLAIN.fullmatch(folder) and os.access(folder, os.W_OK):
            doors = Path(tempfile.mkdtemp(prefix="latentlake-", dir=folder))
            atexit.register(_remove, doors, process)
            return doors
    raise LakeError(
        "The path of the lake has characters other than letters, digits, _, - and ., so a temporary folder whose path "
        "has none of these is needed: set TMPDIR to one."
    )


def _remove(doors: Path, process: int) -> None:
    if process == os.getpid():
        shutil.rmtree(doors, ignore_errors=True)


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        if folder.exists():  # as a file
            raise
        return set()
