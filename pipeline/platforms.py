"""Where latentlake runs: Linux and macOS, Python 3.11 to 3.14. Imported first, so it needs nothing but any Python 3."""

from __future__ import annotations

import platform
import sys

OLDEST, NEWEST = (3, 11), (3, 14)
SYSTEMS = ("Linux", "Darwin")
NEEDED = "Linux or macOS (Windows through WSL), Python 3.11 to 3.14"


def find_problem() -> str | None:
    """Why it cannot run here and what to do, in one sentence; None where it can."""
    version = platform.python_version()
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return f"latentlake needs Python 3.11 to 3.14, and this is {version}: make its environment with one of those."
    if platform.system() not in SYSTEMS:
        return f"latentlake runs on Linux and macOS, and this is {platform.system()}: on Windows, install it in WSL."
    return None
