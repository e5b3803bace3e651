"""Where things are: paths as people write them, the settings file, the lake, and commands that lead to it."""

import os
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lake.errors import UsageError

SETTINGS = Path("latentlake.toml")
"""The settings file of a working folder."""
CONFIG = "LATENTLAKE_CONFIG"
"""Environment variable that names another settings file."""
DEFAULT_ROOT = "data/lake"
WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
FILE_URL = re.compile(r"file:(?://(?:localhost)?)?(/[^/].*|/)", flags=re.DOTALL | re.IGNORECASE)
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def to_path(text: str | Path) -> Path:
    """A path with `~` and `file:///` resolved; `ValueError` for what is no path on this machine."""
    path = _resolve(str(text))
    if URL.match(path):
        raise ValueError("this is an address, and a path on this machine is needed")
    return Path(path)


def to_root(text: str | Path) -> str:
    """The root of a lake: a path as in `to_path`, or the URL of an object store; `ValueError` for anything else."""
    root = _resolve(str(text))
    if root.startswith("file:"):
        raise ValueError("a file URL needs the whole path on this machine, as in file:///home/me/lake")
    return root


def _resolve(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise ValueError("a path is needed")
    if WINDOWS.match(text):
        raise ValueError("this is a path of Windows; in WSL the drive C: is /mnt/c, so C:\\data is /mnt/c/data")
    if found := FILE_URL.fullmatch(text):
        return unquote(found[1])
    resolved = os.path.expanduser(text)  # noqa: PTH111 (Path would make s3://bucket s3:/bucket)
    if resolved.startswith("~"):
        raise ValueError(f"no home folder is known for {text.split('/')[0]}: write the whole path")
    return resolved


def find_file(named: Path | None = None) -> Path | None:
    """The settings file: the one named, else that of `LATENTLAKE_CONFIG`, else `latentlake.toml` of the working folder.

    None without any; `UsageError` where the named one does not exist.
    """
    asked = named if named is not None else os.environ.get(CONFIG)
    if not asked:
        return SETTINGS if SETTINGS.is_file() else None
    try:
        file = to_path(asked)
    except ValueError as error:
        raise UsageError(f"The settings file {asked} cannot be read: {error}.") from None
    if not file.exists() or file.is_dir():
        raise UsageError(f"The settings file {file} does not exist: check {'--config' if named else CONFIG}.")
    return file


def read_file(file: Path) -> dict[str, Any]:
    """What a settings file holds; `UsageError` where it cannot be read or is not TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"The settings file {file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"The settings file {file} is not valid TOML: {error}") from None


def default_root() -> str:
    """The lake that `LATENTLAKE_LAKE` names, else the settings file, else `data/lake`; raises `UsageError`."""
    named = os.environ.get("LATENTLAKE_LAKE") or _root_of_settings()
    try:
        return to_root(named)
    except ValueError as error:
        raise UsageError(f"lake = {named!r}: {error}.") from None


def command(words: str, root: str) -> str:
    """`latentlake <words>` to paste for this lake, with `--config` and `--lake` where they are not the defaults."""
    file = os.environ.get(CONFIG)
    named = ["--config", str(Path(file).absolute())] if file and Path(file).absolute() != SETTINGS.absolute() else []
    other = ["--lake", _absolute(root)] if _absolute(root) != _absolute(_root_of_settings()) else []
    return shlex.join(["latentlake", *words.split(), *named, *other])


def _root_of_settings() -> str:
    file = find_file()
    return str((read_file(file) if file else {}).get("lake", DEFAULT_ROOT))


def _absolute(root: str) -> str:
    resolved = to_root(root)
    return resolved.rstrip("/") if "://" in resolved else str(Path(resolved).absolute())
