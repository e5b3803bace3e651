"""Cache of files that readers derive from a large run and memory-map, so that all sessions share the memory.

Each file is named after its contents and kept in the user's cache folder; it can be deleted at any time.
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
"""Number of samples; smaller runs are read into memory, which is faster than caching."""
MAX_FILES = 2
"""Number of files kept per kind, most recently used first."""


def default_folder() -> Path:
    """Return the cache folder of readers: below `LATENTLAKE_CACHE_DIR`, else in the user's cache folder.

    Raises `OSError` if no cache folder is writable.
    """
    if folder := os.environ.get("LATENTLAKE_CACHE_DIR"):
        return to_path(folder) / "reader"
    if (caches := user_caches()) is None:
        raise OSError("No cache folder is writable: name one in LATENTLAKE_CACHE_DIR.")
    return caches / "latentlake" / "reader"


def find_file(run: Run, kind: str, write: Callable[[Path], None]) -> Path:
    """Return the cached file of a kind for a run, writing it atomically with `write` if it is missing.

    Raises `OSError` if it cannot be written.
    """
    folder = default_folder()
    file = folder / f"{_name(run)}.{kind}"
    if not file.exists():
        write_whole(file, write)
    file.touch()
    for old in sorted(folder.glob(f"*.{kind}"), key=lambda path: path.stat().st_mtime)[:-MAX_FILES]:
        old.unlink(missing_ok=True)
    return file


def _name(run: Run) -> str:
    """Return a name that is unique to the run and the contents of its tables."""
    facts = [run.lake.root, run.run_id, run.facts["tables"], run.facts["digests"]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
