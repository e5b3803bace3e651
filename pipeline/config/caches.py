"""Cache folders of this project and of packages, placed below the work folder if the home folder is not writable."""

import os
from pathlib import Path

from lake.storage.user_caches import user_caches

OF_PACKAGES = {
    "XDG_CACHE_HOME": "",
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
    "npm_config_cache": "npm",
}
"""Variables that packages read at import, and the folder for each."""


def choose(work_dir: Path) -> Path:
    """The cache folder: `~/.cache` if it is writable, otherwise one below the work folder."""
    return user_caches() or work_dir.absolute() / "cache"


def settle(work_dir: Path) -> None:
    """Make packages keep their caches below the work folder if `~/.cache` is not writable.

    Must be called before they are imported. Variables that are already set are kept.
    """
    if user_caches() is None:
        for variable, name in OF_PACKAGES.items():
            os.environ.setdefault(variable, str(choose(work_dir) / name))
