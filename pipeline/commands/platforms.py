"""Supported platforms: Linux and macOS, Python 3.11 to 3.14. Imported first, so it must run on any Python 3."""

from __future__ import annotations

import json
import platform
import sys

OLDEST, NEWEST = (3, 11), (3, 14)
SYSTEMS = ("Linux", "Darwin")
NEEDED = "Linux or macOS (Windows through WSL), Python 3.11 to 3.14"


def stop_elsewhere() -> None:
    """Exit with one sentence if this Python version or system is not supported."""
    problem = find_problem()
    if problem:
        stop("failed", 1, problem)


def stop(status: str, code: int, message: str) -> None:
    """Exit with a sentence on stderr and, with `--json`, the outcome on stdout."""
    sys.stderr.write(f"latentlake: {message}\n")
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({"status": status, "exit_code": code, "message": message}) + "\n")
    raise SystemExit(code)


def find_problem() -> str | None:
    """Why latentlake cannot run here and what to do, in one sentence; None if it can."""
    version = platform.python_version()
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return f"latentlake needs Python 3.11 to 3.14, but this is {version}: create its environment with one of those."
    if platform.system() not in SYSTEMS:
        return f"latentlake runs on Linux and macOS, but this is {platform.system()}: on Windows, install it in WSL."
    return None
