"""Files that a reader makes from a large run and maps into memory, so that all sessions share what they look at.

Each is a copy, named after what it is made of and kept in the user's cache; anybody may delete it.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from lake.atomic_files import write_whole
from lake.storage.places import to_path
from lake.storage.store import Run
from lake.storage.user_caches import user_caches

MAPPED_ABOVE = 200_000
"""Samples; fewer are read into memory faster than they are copied."""
KEPT = 2
"""Files of a kind: those that were used last."""


def default_folder() -> Path:
    """Where readers keep their copies: `LATENTLAKE_CACHE_DIR`, else the user's cache.

    Raises `OSError` where there is none that can be written.
    """
    if named := os.environ.get("LATENTLAKE_CACHE_DIR"):
        return to_path(named) / "reader"
    if (caches := user_caches()) is None:
        raise OSError("No folder for caches can be written: name one in LATENTLAKE_CACHE_DIR.")
    return caches / "latentlake" / "reader"


def find_file(run: Run, kind: str, write: Callable[[Path], None]) -> Path:
    """The file of that kind of a run, written by `write` where it is missing; visible only when it is whole.

    Raises `OSError` where it cannot be written.
    """
    folder = default_folder()
    file = folder / f"{_name(run)}.{kind}"
    if not file.exists():
        write_whole(file, write)
    file.touch()
    for old in sorted(folder.glob(f"*.{kind}"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)
    return file


def _name(run: Run) -> str:
    """A name that no other contents have: of the run and of the files that hold its tables."""
    facts = [run.lake.root, run.run_id, run.facts["tables"], run.facts["digests"]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
