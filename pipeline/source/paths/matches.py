"""Find files by paths that are not quite theirs: other letters, no extension, or a folder in front that has changed.

What holds for one path must hold for the whole column: a beginning is dropped only if nearly all paths have it, so that
it says nothing about a single image, and only if no path with the same root is found as it is written. A path that fits
several files is not decided.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from pipeline.source.meaning.split_names import find_split
from pipeline.source.paths.file_index import IMAGE_SUFFIXES, FileIndex, Key, suffix

SHARED = 0.99
"""Share of the paths that must have a beginning for it to be dropped."""
SAMPLE = 1000
"""Paths by which the beginning to be dropped is chosen."""
_MASKS = (
    "mask masks annotation annotations segmentation segmentations trimap trimaps groundtruth ground_truth "
    "thumbnail thumbnails thumbs"
)
MASK_FOLDERS = frozenset(_MASKS.split())
"""In lower case; a file in one of these is left aside if a file elsewhere fits as well."""


@dataclass(frozen=True)
class Level:
    """A way to compare a path of the table with that of a file: they fit if their keys are equal."""

    says: str
    of_file: Key
    of_text: Key


@dataclass(frozen=True)
class Match:
    """The files that fit a path, more than one if it is ambiguous, and what had to be assumed."""

    files: list[str]
    level: Level
    depth: int
    """Parts at the end of the file's path that are those of the table's."""
    dropped: str = ""
    """The beginning of the path in the table, with a slash at its end, that is not part of the file's path."""
    aside: str | None = None
    """A mask or thumbnail that fits as well."""


def match_files(paths: dict[int, str], index: FileIndex, found_roots: Collection[str]) -> dict[int, Match]:
    """The files that fit the spelt paths of rows; `found_roots` are the roots of paths found as they are written."""
    matches: dict[int, Match] = {}
    dropped = dict.fromkeys(found_roots, "")
    for level in DIRECT:
        matches |= _match_whole(_without(paths, matches), index, level)
    dropped |= {root_of(paths[row]): "" for row in matches}
    starts: dict[str, list[str]] = {}
    for level in (*LEVELS, _other_suffix(index), NUMBER):
        for root, rows in _by_root(_without(paths, matches)).items():
            if level is NUMBER and root in dropped:  # some are found by their names: a number is not meant then
                continue
            if root not in dropped:
                starts.setdefault(root, list(_shared_starts(rows.values())))
                start = _choose_start(rows.values(), starts[root], index, level)
                if start is None:
                    continue
                dropped[root] = start
            matches |= _match_ends(rows, dropped[root], index, level)
    return matches


def root_of(path: str) -> str:
    """Where a path begins: / (as ""), a drive, .. or, for relative paths, "."."""
    first, slash, _ = path.partition("/")
    return first if slash and (first in ("", "..") or first.endswith(":")) else "."


def _without(paths: dict[int, str], matches: dict[int, Match]) -> dict[int, str]:
    return {row: path for row, path in paths.items() if row not in matches}


def _by_root(paths: dict[int, str]) -> dict[str, dict[int, str]]:
    groups: dict[str, dict[int, str]] = {}
    for row, path in paths.items():
        groups.setdefault(root_of(path), {})[row] = path
    return groups


def _match_whole(paths: dict[int, str], index: FileIndex, level: Level) -> dict[int, Match]:
    keys = {row: level.of_text(path) for row, path in paths.items()}
    files = index.named({key for key in keys.values() if key is not None}, level.of_file) if keys else {}
    return {
        row: Match(files[key], level, key.count("/") + 1)
        for row, key in keys.items()
        if key is not None and key in files
    }


def _match_ends(paths: dict[int, str], dropped: str, index: FileIndex, level: Level) -> dict[int, Match]:
    """Match what is left of each path without the beginning `dropped`; paths that begin otherwise do not match."""
    tails = _tails(paths, dropped, level)
    return _fit(tails, index.ending(set(tails.values()), level.of_file), dropped, level)


def _tails(paths: dict[int, str], dropped: str, level: Level) -> dict[int, str]:
    """The key of what is left of each path."""
    keys = {row: level.of_text(path[len(dropped) :]) for row, path in paths.items() if path.startswith(dropped)}
    return {row: key for row, key in keys.items() if key}


def _fit(tails: dict[int, str], files: dict[str, list[str]], dropped: str, level: Level) -> dict[int, Match]:
    candidates = {tail: _narrow(files[tail], tail, dropped, level) for tail in set(tails.values()) & files.keys()}
    return {
        row: Match(candidates[tail][0], level, tail.count("/") + 1, dropped, candidates[tail][1])
        for row, tail in tails.items()
        if tail in candidates and candidates[tail][0]
    }


def _narrow(files: list[str], tail: str, dropped: str, level: Level) -> tuple[list[str], str | None]:
    """The files that can be meant: the one without a folder in front, else all but those of another split and masks."""
    exact = [file for file in files if level.of_file(file) == tail]
    if exact:
        return exact, None
    split = _last_split(dropped)
    in_front = {file: file.rsplit("/", tail.count("/") + 1)[0] for file in files}
    files = [file for file in files if split is None or _last_split(in_front[file]) in (None, split)]
    images = [file for file in files if MASK_FOLDERS.isdisjoint(in_front[file].lower().split("/"))]
    masks = [file for file in files if file not in images] if 0 < len(images) < len(files) else []
    return (images, masks[0]) if masks else (files, None)


def _last_split(folder: str) -> str | None:
    return find_split(folder.rstrip("/").rpartition("/")[2])


def _choose_start(paths: Collection[str], starts: Iterable[str], index: FileIndex, level: Level) -> str | None:
    """The shortest of the beginnings without which about as many paths as possible fit a file; None if none does."""
    step = -(-len(paths) // SAMPLE)
    sample = dict(enumerate(list(paths)[::step]))
    tails = {start: _tails(sample, start, level) for start in starts}
    files = index.ending({tail for rows in tails.values() for tail in rows.values()}, level.of_file)
    counts = {start: len(_fit(rows, files, start, level)) for start, rows in tails.items()}
    best = max(counts.values())
    return next(start for start, count in counts.items() if count * 2 >= best) if best else None


def _shared_starts(paths: Collection[str]) -> Iterable[str]:
    """Beginnings, with a slash at their end, of nearly all paths, the shortest first: "", /, /old/, /old/photos/."""
    start, needed = "", SHARED * len(paths)
    while True:
        yield start
        longer = Counter(
            path[: path.index("/", len(start)) + 1]
            for path in paths
            if path.startswith(start) and path.find("/", len(start)) >= 0
        )
        if not longer:
            return
        start, count = longer.most_common(1)[0]
        if count < needed:
            return


def _nfc(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _fold(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _stem(path: str) -> str | None:
    """The path of an image file without its suffix; None for other files."""
    end = suffix(path)
    return path[: -len(end)] if end in IMAGE_SUFFIXES else None


def _then(first: Key, second: Callable[[str], str]) -> Key:
    def key(path: str) -> str | None:
        result = first(path)
        return None if result is None else second(result)

    return key


def _other_suffix(index: FileIndex) -> Level:
    """Fit 1.png to 1.jpg if the folder has no .png at all: then its images have been converted."""

    def of_text(path: str) -> str | None:
        end = suffix(path)
        known = end in IMAGE_SUFFIXES or end in (".dcm", ".dicom")
        return _fold(path[: -len(end)]) if known and end not in index.suffixes else None

    return Level("are found as files of another type", _then(_stem, _fold), of_text)


def _number(path: str) -> str | None:
    """A path whose name is a whole number, without zeros in front; a spreadsheet makes 7.0 of 007."""
    folder, slash, name = path.rpartition("/")
    digits = name.removesuffix(".0")
    return f"{folder}{slash}{digits.lstrip('0') or '0'}" if digits.isascii() and digits.isdecimal() else None


def _number_of_file(path: str) -> str | None:
    stem = _stem(path)
    return None if stem is None else _number(stem)


SAME = Level("are found below another folder", str, str)
_ACCENTS = Level("are found with accents that are encoded differently", _nfc, _nfc)
_CASE = Level("are found with other capital letters", _fold, _fold)
STEM = Level("are found by the name without extension", _then(_stem, _nfc), _nfc)
_STEM_CASE = Level("are found by the name without extension, with other capital letters", _then(_stem, _fold), _fold)
NUMBER = Level("are found by their number, with other zeros", _number_of_file, _number)
DIRECT = (SAME, _ACCENTS, _CASE)
"""Ways to compare whole paths."""
LEVELS = (SAME, _ACCENTS, _CASE, STEM, _STEM_CASE)
"""Ways to compare the ends of paths."""
