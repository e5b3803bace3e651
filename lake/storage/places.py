"""Locations: user-supplied paths, the settings file, the root of the lake, and commands that refer to it."""

import os
import re
import shlex
import stat
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lake.errors import UsageError

SETTINGS = Path("latentlake.toml")
"""Name of the settings file in the working folder."""
CONFIG = "LATENTLAKE_CONFIG"
"""Environment variable that names another settings file."""
DEFAULT_ROOT = "data/lake"
WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
FILE_URL = re.compile(r"file:(?://(?:localhost)?)?(/[^/].*|/)", flags=re.DOTALL | re.IGNORECASE)
SCHEMES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss")
"""URL schemes of object stores that both deltalake and polars support."""
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
ADDRESS = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+://[^/]", flags=re.IGNORECASE)


def to_path(text: str | os.PathLike[str]) -> Path:
    """Convert text to a path, resolving `~` and `file:///`; raises `ValueError` if it is not a local path."""
    path = _resolve(text)
    if URL.match(path):
        raise ValueError("this is a URL, but a path on this machine is needed")
    return Path(path)


def to_source(text: str | os.PathLike[str]) -> Path | str:
    """Convert text to a path as in `to_path`, or leave it if it is an address; raises `ValueError` if it is neither."""
    return text if isinstance(text, str) and ADDRESS.match(text) else to_path(text)


def to_root(text: str | os.PathLike[str]) -> str:
    """Convert text to the root of a lake: a path as in `to_path` or an object-store URL; else raises `ValueError`."""
    root = _resolve(text)
    if root.startswith("file:"):
        raise ValueError("a file URL needs the full path on this machine, as in file:///home/me/lake")
    scheme, separator, _ = root.partition("://")
    if separator and scheme.lower() not in SCHEMES:
        raise ValueError(f"{scheme}:// is not a known object store; the known ones are {', '.join(SCHEMES)}")
    return root


def _resolve(value: str | os.PathLike[str]) -> str:
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise ValueError(f"a path must be text, but this is {'nothing' if value is None else type(value).__name__}")
    if not text.strip() or "\0" in text:
        raise ValueError("a path must not be empty or contain a null byte")
    if WINDOWS.match(text):
        raise ValueError("this is a Windows path; in WSL the drive C: is /mnt/c, so C:\\data is /mnt/c/data")
    if match := FILE_URL.fullmatch(text):
        return unquote(match[1])
    resolved = os.path.expanduser(text)  # noqa: PTH111 (Path would make s3://bucket s3:/bucket)
    if resolved.startswith("~") or (text.split("/")[0] == "~" and os.environ.get("HOME") == ""):
        raise ValueError(f"the home folder of {text.split('/')[0]} is not known: write the full path")
    return resolved


def find_file(file: Path | None = None) -> Path | None:
    """Find the settings file: `file`, else that of `LATENTLAKE_CONFIG`, else `latentlake.toml` in the working folder.

    Returns None if there is none. Raises `UsageError` if it does not exist although it was named, or is not a file.
    """
    path = file if file is not None else os.environ.get(CONFIG)
    if not path:
        return _check(SETTINGS, "fix, rename or remove it") if os.path.lexists(SETTINGS) else None
    try:
        return _check(to_path(path), f"check {CONFIG}" if file is None else "name a TOML file")
    except ValueError as error:
        raise UsageError(f"The settings file {path} cannot be read: {error}.") from None


def _check(file: Path, hint: str) -> Path:
    """Return the file after checking that it exists and can be read repeatedly; else raises `UsageError`."""
    try:
        kind = file.stat().st_mode
    except FileNotFoundError:
        raise UsageError(f"The settings file {file} does not exist{_missing_link(file)}: {hint}.") from None
    except OSError as error:
        raise UsageError(f"The settings file {file} cannot be read ({error.strerror}): {hint}.") from None
    if stat.S_ISDIR(kind):
        raise UsageError(f"The settings file {file} is a folder: {hint}.")
    if not stat.S_ISREG(kind) and not file.samefile(os.devnull):
        raise UsageError(f"The settings file {file} is a pipe or device, which can be read only once: {hint}.")
    return file


def _missing_link(file: Path) -> str:
    return f" (a link to {file.readlink()})" if file.is_symlink() else ""


def read_file(file: Path) -> dict[str, Any]:
    """Read a settings file; raises `UsageError` if it cannot be read or is not TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"The settings file {file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"The settings file {file} is not valid TOML: {error}") from None


def default_root() -> str:
    """Return the root from `LATENTLAKE_LAKE`, else from the settings file, else `data/lake`; raises `UsageError`."""
    root = os.environ.get("LATENTLAKE_LAKE")
    return parse_root(root) if root else _root_of_settings()


def parse_root(value: Any) -> str:
    """Apply `to_root` to a user-supplied root; raises `UsageError` if it is invalid."""
    try:
        return to_root(value)
    except ValueError as error:
        raise UsageError(f"lake = {value!r}: {error}.") from None


def command(words: str, root: str) -> str:
    """Return `latentlake <words>`, ready to paste, with `--config` and `--lake` if they differ from the defaults."""
    file = os.environ.get(CONFIG)
    config_options = (
        ["--config", str(Path(file).absolute())] if file and Path(file).absolute() != SETTINGS.absolute() else []
    )
    lake_options = ["--lake", _absolute(root)] if _absolute(root) != _absolute(_root_of_settings()) else []
    return shlex.join(["latentlake", *words.split(), *config_options, *lake_options])


def _root_of_settings() -> str:
    file = find_file()
    return parse_root((read_file(file) if file else {}).get("lake", DEFAULT_ROOT))


def _absolute(root: str) -> str:
    resolved = to_root(root)
    return resolved.rstrip("/") if "://" in resolved else str(Path(resolved).absolute())
