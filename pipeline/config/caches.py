"""Caches of this project and of packages, for somebody whose home cannot be written: below the work folder then."""

import os
from pathlib import Path

from lake.storage.user_caches import user_caches

OF_PACKAGES = {
    "XDG_CACHE_HOME": "",
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
    "npm_config_cache": "npm",
}
"""Variables that packages read when they are imported, and the folder that each gets."""


def choose(work_dir: Path) -> Path:
    """The folder for caches: `~/.cache` where it can be written, else one below the work folder."""
    return user_caches() or work_dir.absolute() / "cache"


def settle(work_dir: Path) -> None:
    """Let packages keep their caches below the work folder where `~/.cache` cannot be written.

    Call it before they are imported. Variables that are set stay as they are.
    """
    if user_caches() is None:
        for variable, name in OF_PACKAGES.items():
            os.environ.setdefault(variable, str(choose(work_dir) / name))
