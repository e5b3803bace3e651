"""Measure the memory that this process holds itself, and the mapped files that the system can drop."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.engine.polling import watching

EVERY = 0.02
"""Seconds between two readings."""


def anonymous_bytes() -> int:
    """Resident memory of the process that is not backed by a file."""
    return _read("RssAnon")


def mapped_bytes() -> int:
    """Resident memory of the files that the process maps."""
    return _read("RssFile")


@contextmanager
def watch_memory() -> Iterator[dict[str, int]]:
    """The peaks `anonymous` and `mapped` in bytes, set at the end of the block."""
    peak = {"anonymous": 0, "mapped": 0}

    def look() -> None:
        for name, now in (("anonymous", anonymous_bytes()), ("mapped", mapped_bytes())):
            peak[name] = max(peak[name], now)

    with watching(look, every=EVERY):
        yield peak


def _read(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), flags=re.M)
    assert found
    return int(found[1]) * 1024
