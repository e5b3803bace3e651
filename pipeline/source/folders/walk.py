"""Every folder below a source with its files, in one pass that opens no file."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.pixels.decode import Unusable
from pipeline.source.folders.kinds import is_image_name
from pipeline.source.listing import readable

Parts = tuple[str, ...]
SYSTEM = frozenset(
    name.casefold()
    for name in (
        *("__MACOSX", "@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "RECYCLER", "System Volume Information"),
        *("lost+found", "__pycache__", "Thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "Icon\r"),
    )
)
"""Names that operating systems and storage devices write beside the files of people."""


@dataclass(frozen=True)
class Folder:
    """A folder that is read: its path, the readable names of the folders from the source to it, and its files."""

    path: str
    parts: Parts
    files: list[str]
    """Names as the system gives them, sorted."""

    def name_of(self, file: str) -> str:
        """The readable path of one of its files, relative to the source."""
        return "/".join((*self.parts, readable(file)))

    def path_of(self, file: str) -> Path:
        """The path of one of its files."""
        return Path(f"{self.path}{os.sep}{file}")

    def having(self, files: list[str]) -> "Folder":
        """The same folder with only some of its files."""
        return Folder(self.path, self.parts, files)


def walk(source: Path) -> Iterator[Folder | tuple[str, Unusable]]:
    """Every folder with its files, and the name of each folder that is not entered, with the reason.

    Folders come sorted, a folder before those inside it. Hidden and system files are skipped. A link to a folder is
    followed once, and not if it leads back into a folder that is read anyway.
    """
    links = _Links(source)
    stack: list[tuple[str, Parts, bool]] = [(str(source), (), False)]
    while stack:
        path, parts, is_link = stack.pop()
        name = "/".join(parts) or "."
        if is_link and not links.enter(path):
            yield name, Unusable("symbolic link loop", "it leads to a folder that is already read")
            continue
        try:
            folders, files = _scan(path)
        except OSError as error:
            yield name, Unusable("unreadable folder", error.strerror or "")
            continue
        if not folders and not files and is_image_name(name):
            yield name, Unusable("not a file", "it is an empty folder")
            continue
        yield Folder(path, parts, files)
        for folder, linked in reversed(folders):
            stack.append((os.path.join(path, folder), (*parts, readable(folder)), linked))  # noqa: PTH118 - a million


def _scan(path: str) -> tuple[list[tuple[str, bool]], list[str]]:
    """The folders, each with whether it is a link, and the files of a folder, sorted by name."""
    folders, files = [], []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.casefold() in SYSTEM:
                continue
            if _is_folder(entry):
                folders.append((entry.name, entry.is_symlink()))
            else:
                files.append(entry.name)
    return sorted(folders), sorted(files)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


class _Links:
    """The folders that are read without following a link, and those that links led to."""

    def __init__(self, source: Path) -> None:
        self._roots: set[Path] = set()
        self._above: set[Path] = set()
        self._add(source.resolve())

    def enter(self, path: str) -> bool:
        """Whether a link leads to a folder that is not read yet, nor holds one that is; it is read from now on."""
        try:
            real = Path(path).resolve()
        except (OSError, RuntimeError):  # a loop
            return False
        if real in self._above or not self._roots.isdisjoint((real, *real.parents)):
            return False
        self._add(real)
        return True

    def _add(self, real: Path) -> None:
        self._roots.add(real)
        self._above.update(real.parents)
