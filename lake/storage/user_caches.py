"""Where this user may keep copies of what can be had again."""

import os
from pathlib import Path


def user_caches() -> Path | None:
    """`~/.cache`, or None where no home is known or it cannot be written."""
    if os.environ.get("HOME") == "":
        return None
    try:
        folder = Path.home() / ".cache"
    except RuntimeError:  # how python says that it knows no home
        return None
    return folder if _can_be_written(folder) else None


def _can_be_written(folder: Path) -> bool:
    """Whether files can be made in the folder, or the folder where it is missing."""
    while not os.access(folder, os.F_OK):
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)
