"""Unexpected errors: explained in one sentence, with a file that holds the details."""

import datetime as dt
import importlib.metadata
import os
import platform
import re
import shlex
import sys
import tempfile
import traceback
from collections.abc import Iterable
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path

from lake.errors import Unforeseen, UserError
from lake.storage.disks import find_reason

NO_MEMORY = re.compile(r"out of memory|can(?:no|')t allocate memory|not enough memory", flags=re.IGNORECASE)
NOT_MAPPED = "failed to map segment"
"""Message of the loader for a library that does not fit into memory, or that lies on a disk mounted noexec."""
NO_MEMORY_IN = (RuntimeError, ImportError, OSError)
SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL", flags=re.IGNORECASE)
LESS = "close other programs, or lower samples, batch_size or size, then run the same command again to continue."
IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def explain(error: BaseException, folders: Iterable[Path]) -> UserError:
    """Turn any error into one for people; unexpected ones are written to a file in the first writable folder."""
    if isinstance(error, MemoryError) or (isinstance(error, NO_MEMORY_IN) and NO_MEMORY.search(str(error))):
        return UserError(f"This machine has run out of memory{_quote(error)}: {LESS}")
    if isinstance(error, ImportError) and NOT_MAPPED in str(error):
        return UserError(
            f"A package could not be loaded{_quote(error)}: memory has run out or is limited (see ulimit -v), "
            "or the packages are on a disk mounted with noexec. Fix this, then run the command again."
        )
    if isinstance(error, BrokenProcessPool):
        return UserError(f"A process of this command was killed, most likely because memory ran out: {LESS}")
    if isinstance(error, OSError) and (reason := find_reason(error, os.fsdecode(error.filename or "the system"))):
        return UserError(f"The command could not continue: {reason}. Fix this, then run it again.")
    report = keep(error, folders)
    where = f"with the file {report}, which records" if report else "with the output of --debug, which shows"
    return Unforeseen(
        f"latentlake failed with an unexpected error ({type(error).__name__}{_quote(error)}). No run is "
        f"left half-published. Please report it {where} how it happened."
    )


def keep(error: BaseException, folders: Iterable[Path]) -> Path | None:
    """Write version, platform, command and traceback to the first writable folder; returns the file, or None."""
    name = f"latentlake-error-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}-{os.getpid()}.log"
    text = _redact(_describe(error))
    for folder in (*folders, Path(tempfile.gettempdir())):
        with suppress(OSError):
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
            return (folder / name).absolute()
    return None


def _describe(error: BaseException) -> str:
    facts = {
        "latentlake": find_version(),
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": platform.platform(),
        "command": shlex.join(sys.argv),
    }
    lines = [f"{name}: {value}\n" for name, value in facts.items()]
    return "".join([*lines, "\n", *traceback.format_exception(error)])


def find_version() -> str:
    """The installed version of latentlake."""
    try:
        return importlib.metadata.version("latentlake")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _redact(text: str) -> str:
    """The text without secrets from the environment and without credentials in URLs."""
    for name, value in os.environ.items():
        if SECRET.search(name) and len(value) >= 8:
            text = text.replace(value, "***")
    return IN_URL.sub("***", text)


def _quote(error: BaseException) -> str:
    line = (_redact(str(error)).strip().splitlines() or [""])[0][:200]
    return f": {line}" if line else ""
