"""Delta tables as another program reads and writes them, whatever the folders above them are called."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import write_deltalake

from lake.storage.door import plain_path
from lake.storage.store import Lake


def folder_of(lake: Lake, name: str) -> Path:
    """Where the files of a table are; `Lake.uri` may lead to links to them."""
    return Path(lake.root, name)


def files_of(lake: Lake, name: str, pattern: str = "*.parquet") -> list[Path]:
    """The files of a table; there is one at least."""
    files = sorted(folder_of(lake, name).rglob(pattern))
    assert files, f"{name} has no {pattern}"
    return files


def read_raw(table: Path) -> pl.DataFrame:
    return pl.read_delta(plain_path(str(table)))


def write_raw(table: Path, frame: pl.DataFrame, **how: Any) -> None:
    """`write_deltalake`, with none of what the store does."""
    table.mkdir(parents=True, exist_ok=True)
    path = Path(plain_path(str(table)))
    write_deltalake(path, frame, **how)
    if not path.samefile(table):  # what was written beside the links
        for new in [entry for entry in path.iterdir() if not entry.is_symlink()]:
            shutil.move(new, table / new.name)
