"""Ways in which people and tools write the path of a file in a table, read as a POSIX path; nothing is looked up."""

import posixpath
import re
from pathlib import Path
from urllib.parse import unquote

from lake.storage.places import WINDOWS

_ADDRESS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+)://")
_FILE_URI = re.compile(r"file:(?://(?P<host>[^/]*))?(?P<path>.*)", flags=re.DOTALL | re.IGNORECASE)
_HOME = re.compile(r"^(~|\$HOME|\$\{HOME\})(?=/)")
_DRIVE = re.compile(r"[A-Za-z]:/|//")
MAX_BYTES, MAX_PART_BYTES = 4095, 255
"""Longest path and longest name that file systems take."""


def is_address(text: str) -> bool:
    """Whether a text is an address with a scheme, such as https://host/1.jpg, and not that of a local file."""
    if "://" not in text:
        return False
    match = _ADDRESS.match(text)
    return match is not None and match[1].lower() != "file"


def spell(text: str) -> str:
    """The path that a text means, with slashes and without ./: blanks, file URIs, ~ and backslashes are understood.

    The path of another system keeps its beginning: C:/ or, for a share, //server/.
    """
    path = text.strip().strip("\"'").strip()
    is_windows = WINDOWS.match(path) is not None
    if path[:5].lower() == "file:" and (uri := _FILE_URI.fullmatch(path)):
        host, path = uri["host"] or "", unquote(uri["path"])
        is_windows = host.lower() not in ("", "localhost")
        path = f"//{host}{path}" if is_windows else re.sub(r"^/(?=[A-Za-z]:[\\/])", "", path)
    path = _HOME.sub(_home, path.replace("\\", "/"), count=1)
    normal = posixpath.normpath(path) if path else ""
    return normal if is_windows or not normal.startswith("//") else normal[1:]


def decode_percent(path: str) -> str:
    """A path with %20 and the like decoded, normalised."""
    return posixpath.normpath(unquote(path)) if "%" in path else path


def is_foreign(path: str) -> bool:
    """Whether a spelt path begins with a drive or a share of Windows, which this system does not have."""
    return _DRIVE.match(path) is not None


def what_is_wrong(path: str) -> str | None:
    """Why no file can have this path; None if one can."""
    if "\0" in path:
        return "it contains a null byte"
    try:
        encoded = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if len(encoded) > MAX_BYTES:
        return f"it has {len(encoded):,} bytes, at most {MAX_BYTES:,} are possible"
    longest = max(map(len, encoded.split(b"/")))
    if longest > MAX_PART_BYTES:
        return f"it has a name of {longest:,} bytes, at most {MAX_PART_BYTES:,} are possible"
    return None


def _home(match: re.Match[str]) -> str:
    try:
        return str(Path.home())
    except RuntimeError:  # no home folder is known
        return match[0]
