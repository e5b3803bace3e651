"""Delta tables read and written as by another program, whatever the names of the folders above them."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import write_deltalake

from lake.storage.door import plain_path
from lake.storage.store import Lake


def folder_of(lake: Lake, name: str) -> Path:
    """Folder with the files of a table; `Lake.uri` may point to links to them."""
    return Path(lake.root, name)


def files_of(lake: Lake, name: str, pattern: str = "*.parquet") -> list[Path]:
    """The files of a table; at least one."""
    files = sorted(folder_of(lake, name).rglob(pattern))
    assert files, f"{name} has no {pattern}"
    return files


def read_raw(table: Path) -> pl.DataFrame:
    return pl.read_delta(plain_path(str(table)))


def write_raw(table: Path, frame: pl.DataFrame, **how: Any) -> None:
    """Call `write_deltalake` without anything that the store adds."""
    table.mkdir(parents=True, exist_ok=True)
    path = Path(plain_path(str(table)))
    write_deltalake(path, frame, **how)
    if not path.samefile(table):  # files written next to the links
        for new in [entry for entry in path.iterdir() if not entry.is_symlink()]:
            shutil.move(new, table / new.name)
