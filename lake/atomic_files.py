"""Files that are either complete or absent, and memory-mapped arrays."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike

CHUNK = 2**20


def write_whole(file: Path, write: Callable[[Path], None]) -> None:
    """Create `file` with `write`, which is called with a `.part` path; the file is renamed once it is complete.

    Raises `OSError` if it cannot be written. No partial file remains after an error.
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
    """Create a memory-mapped `.npy` file to fill in.

    Its disk space is allocated up front, because a disk that fills up under a mapped file kills the process.
    Raises `OSError` if there is not enough space.
    """
    mapped = np.lib.format.open_memmap(file, mode="w+", dtype=np.dtype(dtype), shape=shape)
    with file.open("r+b") as opened:
        _allocate_space(opened, mapped.offset, file.stat().st_size)
    return mapped


def _allocate_space(opened: BinaryIO, start: int, end: int) -> None:
    """Allocate the disk space of the file, by writing zeros where the system has no call for it (macOS)."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(opened.fileno(), 0, end)
        return
    opened.seek(start)
    for remaining in range(end - start, 0, -CHUNK):
        opened.write(bytes(min(CHUNK, remaining)))
