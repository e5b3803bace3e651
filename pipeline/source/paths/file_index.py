"""The files of a folder: whether one exists, without a look at each, and all of them, by several keys."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

_IMAGES = "png apng jpg jpeg jpe jfif webp gif bmp dib tif tiff avif heic heif jp2 j2k jpx jpf jpc pbm pgm ppm pnm"
IMAGE_SUFFIXES = frozenset(f".{end}" for end in _IMAGES.split())
"""In lower case; a file with one of these is taken for an image if only its stem is known."""
SYSTEM_FOLDERS = frozenset({"__MACOSX", "$RECYCLE.BIN", "System Volume Information", "@eaDir", "lost+found"})
MAX_FILES = 1_000_000
Key = Callable[[str], str | None]


class KnownFiles:
    """Whether files exist, from one listing of each folder that is asked about; nothing is opened."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str] | None] = {}

    def has(self, path: str) -> bool:
        """Whether a path, with slashes, exists and is no folder; False for what cannot be looked at."""
        folder, _, name = path.rpartition("/")
        if folder not in self._names:
            self._names[folder] = _list_names(folder or "/")
        names = self._names[folder]
        return name in names if names is not None else _exists(path)


class FileIndex:
    """All files below a folder as sorted paths relative to it, with slashes; hidden and system folders are skipped."""

    def __init__(self, files: list[str]) -> None:
        self.files = sorted(files)
        self.suffixes = frozenset(suffix(file) for file in files)

    @classmethod
    def of(cls, folder: Path, *, follow_links: bool, max_files: int) -> "FileIndex | None":
        """The files below a folder; None if they are more than `max_files`. Links to folders may be followed."""
        files = []
        for file in _walk(folder, follow_links):
            files.append(file)
            if len(files) > max_files:
                return None
        return cls(files)

    def named(self, keys: set[str], key: Key) -> dict[str, list[str]]:
        """For each of the keys that occurs, the files whose path has it."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for file in self.files:
            if (whole := key(file)) in keys and whole is not None:
                found[whole].append(file)
        return found

    def ending(self, keys: set[str], key: Key) -> dict[str, list[str]]:
        """For each of the keys that occurs, the files the last parts of whose path have it."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        depths = sorted({tail.count("/") + 1 for tail in keys})
        names = {tail.rpartition("/")[2] for tail in keys}
        for file in self.files:
            whole = key(file)
            if whole is None or whole.rpartition("/")[2] not in names:
                continue
            parts = whole.split("/")
            for depth in depths:
                if depth <= len(parts) and (end := "/".join(parts[-depth:])) in keys:
                    found[end].append(file)
        return found


def suffix(path: str) -> str:
    """The suffix of a path in lower case, such as .jpg; "" if it has none."""
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 (called for every file)


def _list_names(folder: str) -> frozenset[str] | None:
    """Names in a folder that are no folders; none if it does not exist, None if it may not be listed."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if not _is_folder(entry))
    except PermissionError:
        return None
    except (OSError, ValueError):  # ValueError: null bytes, invalid Unicode
        return frozenset()


def _exists(path: str) -> bool:
    try:
        return Path(path).exists() and not Path(path).is_dir()
    except (OSError, ValueError):
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _walk(folder: Path, follow_links: bool) -> Iterator[str]:
    roots, waiting = [folder.resolve()], [""]
    while waiting:
        below = waiting.pop()
        for entry in _entries(folder / below):
            name = f"{below}{entry.name}"
            if not _is_folder(entry):
                if not entry.name.startswith("."):
                    yield name
            elif not _is_skipped(entry.name) and (
                not entry.is_symlink() or (follow_links and _is_new(Path(entry.path), roots))
            ):
                waiting.append(f"{name}/")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # a folder that may not be read
        return []


def _is_skipped(name: str) -> bool:
    return name.startswith(".") or name in SYSTEM_FOLDERS


def _is_new(link: Path, roots: list[Path]) -> bool:
    """Whether a link leads to a folder that is not read anyway; it is one of the roots then."""
    real = link.resolve()
    if any(real.is_relative_to(root) or root.is_relative_to(real) for root in roots):
        return False
    roots.append(real)
    return True
