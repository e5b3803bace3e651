"""The cache folder of the user."""

import os
from pathlib import Path


def user_caches() -> Path | None:
    """Return `~/.cache`; None if the home folder is unknown or the cache is not writable."""
    if os.environ.get("HOME") == "":
        return None
    try:
        folder = Path.home() / ".cache"
    except RuntimeError:  # the home folder is unknown
        return None
    return folder if _can_be_written(folder) else None


def _can_be_written(folder: Path) -> bool:
    """Return whether the folder is writable, or can be created if it is missing."""
    while not os.access(folder, os.F_OK):
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)
