"""Labels of a split without folders of classes, from a list of its files beside or above them."""

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.source.folders.kinds import TABLES, stem, suffix
from pipeline.source.folders.walk import Folder, Parts
from pipeline.source.listing import ListedImage
from pipeline.source.notes import Notes

MAX_BYTES = 64 * 2**20
MOST = 20
"""Lists that are opened in a folder; more than that belong to single images."""
_SEPARATORS: tuple[Callable[[list[str]], Iterator[list[str]]], ...] = (
    lambda lines: csv.reader(lines, delimiter="\t"),
    lambda lines: csv.reader(lines, delimiter=","),
    lambda lines: csv.reader(lines, delimiter=";"),
    lambda lines: (line.split() for line in lines),
    lambda lines: (re.split(r"[,;\s]+", line) for line in lines),
)


@dataclass(frozen=True)
class Table:
    """A list that may hold labels: its path and its name relative to the source."""

    path: Path
    name: str


def find_tables(folders: Sequence[Folder], pictured: Mapping[Parts, Folder]) -> dict[Parts, list[Table]]:
    """The lists by folder, only in folders that have images in or below them; none that are called as an image.

    `folders` have all files, `pictured` only images.
    """
    above = {parts[:depth] for parts in pictured for depth in range(len(parts) + 1)}
    found = {}
    for folder in folders:
        names = [name for name in folder.files if suffix(name) in TABLES] if folder.parts in above else []
        if len(names) > 1 and folder.parts in pictured:
            stems = {stem(name) for name in pictured[folder.parts].files}
            names = [name for name in names if stem(name) not in stems]
        if 0 < len(names) <= MOST:
            found[folder.parts] = [Table(folder.path_of(name), folder.name_of(name)) for name in names]
    return found


def read_labels(images: list[ListedImage], parts: Sequence[Parts], tables: Mapping[Parts, list[Table]]) -> Notes:
    """Label in place the images of splits without any label if a list names them with classes of the other splits.

    `parts` is the folder of each image. A list has one row per image: its name, with or without folders and suffix, and
    its class, separated by tab, comma, semicolon or blanks. Rows of other names, such as headings, are skipped.
    """
    notes = Notes()
    classes = {image.label for image in images if image.label is not None}
    complete = {None, "unlabeled", *(image.split for image in images if image.label is not None)}
    rows_of: dict[str, set[int]] = defaultdict(set)
    for row, image in enumerate(images):
        if image.split not in complete:
            rows_of[image.split or ""].add(row)
    for split, rows in rows_of.items() if classes else ():
        folders = {parts[row][:depth] for row in rows for depth in range(len(parts[row]) + 1)}
        nearest_first = sorted(folders & tables.keys(), key=lambda folder: (-len(folder), folder))
        for table, label_of in _match_all(nearest_first, tables, images, parts, rows, classes):
            for row, label in label_of.items():
                images[row] = replace(images[row], label=label)
            notes.remarks.append(
                f"{table.name} names the classes of {len(label_of):,} of the {len(rows):,} images of the split {split}."
            )
            break
    return notes


def read_pairs(path: Path, names: Mapping[int, str]) -> dict[int, str]:
    """The label of each image that a list without names of columns names: a name and a label on each line.

    `names` has the path of each image relative to the source. Empty if a line has more, or an image has two labels.
    """
    known = _Names(names)

    def take(cells: list[str]) -> tuple[int | None, str] | None:
        return (known.find(cells[0]), cells[-1].strip()) if len(cells) == 2 else None

    return _read_with(_read_lines(path), take)


def _match_all(
    folders: Sequence[Parts],
    tables: Mapping[Parts, list[Table]],
    images: Sequence[ListedImage],
    parts: Sequence[Parts],
    rows: Collection[int],
    classes: Collection[str],
) -> Iterator[tuple[Table, dict[int, str]]]:
    """Each list in the folders that names at least half of the rows, with the class of each row that it names."""
    for folder in folders:
        below = {row: images[row].name for row, inside in enumerate(parts) if inside[: len(folder)] == folder}
        names = _Names(below)
        for table in tables[folder]:
            label_of = _match(_read_lines(table.path), names, rows, classes)
            if 2 * len(label_of) >= len(rows):
                yield table, label_of


def _match(lines: list[str], names: "_Names", rows: Collection[int], classes: Collection[str]) -> dict[int, str]:
    """The class of each row that a list names; empty if it says anything else than one class of a row."""

    def take(cells: list[str]) -> tuple[int | None, str] | None:
        row = names.find(cells[0]) if len(cells) > 1 else None
        if row not in rows:
            return None, ""
        label = cells[1].strip()
        return (row, label) if label in classes else None

    return _read_with(lines, take)


def _read_with(lines: list[str], take: Callable[[list[str]], tuple[int | None, str] | None]) -> dict[int, str]:
    """What the first separator gives with which all lines can be taken, and no row has two labels; otherwise empty.

    `take` gives row and label of the cells of a line, no row if they are of nothing that is looked for, and None if
    they cannot be.
    """
    for separate in _SEPARATORS:
        label_of: dict[int, str] = {}
        try:
            for cells in filter(None, separate(lines)):
                taken = take(cells)
                if taken is None:
                    label_of.clear()
                    break
                row, label = taken
                if row is not None and label_of.setdefault(row, label) != label:
                    label_of.clear()
                    break
        except csv.Error:
            continue
        if label_of:
            return label_of
    return {}


class _Names:
    """The rows of images by their names as lists write them: with or without folders and suffix."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._rows: dict[str, list[int]] = defaultdict(list)
        for row, name in names.items():
            for key in {last := name.rpartition("/")[2], stem(last)}:
                self._rows[key].append(row)

    def find(self, written: str) -> int | None:
        """The row of a name; None if there is none, or more than one."""
        parts = written.strip().replace("\\", "/").removeprefix("./").split("/")
        rows = [row for row in self._rows.get(parts[-1], ()) if self._lies_in(row, parts[:-1])]
        return rows[0] if len(rows) == 1 else None

    def _lies_in(self, row: int, folders: list[str]) -> bool:
        """Whether the folders of an image end as the written ones do, or the other way round."""
        actual = self._names[row].split("/")[:-1]
        common = min(len(actual), len(folders))
        return actual[len(actual) - common :] == folders[len(folders) - common :]


def _read_lines(path: Path) -> list[str]:
    """The lines of a list; none if it is not a regular file of a moderate size."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return []
        return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return []
