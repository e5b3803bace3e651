"""Files that are whole or absent, and arrays in them that are mapped into memory."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike

CHUNK = 2**20


def write_whole(file: Path, write: Callable[[Path], None]) -> None:
    """Make a file by `write`, which is given a name that ends in `.part`; it gets its own name when it is done.

    Raises `OSError` where it cannot be written; then, as after any other error, nothing is left.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as partial:
        part = Path(partial.name)
    try:
        write(part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def create_array(file: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> "np.memmap[Any, Any]":
    """A mapped `.npy` file to fill in, which has its room on the disk: full under a mapped file, it kills the process.

    Raises `OSError` where there is no room.
    """
    mapped = np.lib.format.open_memmap(file, mode="w+", dtype=np.dtype(dtype), shape=shape)
    with file.open("r+b") as opened:
        _take_room(opened, mapped.offset, file.stat().st_size)
    return mapped


def _take_room(opened: BinaryIO, start: int, end: int) -> None:
    """Have the system give the file its room; macOS has no call for that, and there zeros are written."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(opened.fileno(), 0, end)
        return
    opened.seek(start)
    for left in range(end - start, 0, -CHUNK):
        opened.write(bytes(min(CHUNK, left)))
