"""Labels from lists beside new images, such as labels.csv: delimited text in any dialect, below any header.

A list that is called labels is used or said to be of no use. Another one, such as photos.csv, is used only if it names
images and all its labels of them are classes.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings
from pipeline.data.incoming.labels import Found, WrittenNames, plain_names, read_meanings, several
from pipeline.source.columns.table_columns import find_columns
from pipeline.source.folders.kinds import stem
from pipeline.source.folders.walk import Folder, Parts, walk
from pipeline.source.text.csv_files import is_text_table, scan_text

_LABELS = re.compile(r"(^|[^a-z])labels?([^a-z]|$)")
_PREDICTED = re.compile(r"predict|(^|[^a-z])preds?([^a-z]|$)|submission|inference")
_OTHERS = (".csv", ".tsv")


@dataclass
class ListedLabels:
    """The labels as they are written: of images by position, and of samples of the dataset by name; and remarks."""

    of_image: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    of_sample: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _List:
    """A file that may list labels of the images below its folder."""

    path: Path
    name: str
    """Relative to the source."""
    folder: Parts
    is_of_labels: bool
    """Whether it is called so."""


def read_lists(
    source: Path, images: Sequence[str], samples: Collection[str], own: DatasetSettings, classes: Sequence[str]
) -> ListedLabels:
    """The labels that the lists in a folder give to its images and to samples of the dataset."""
    listed, by_plain_name = ListedLabels(), plain_names(samples)
    for found in _find_lists(source, images):
        inside = "".join(f"{part}/" for part in found.folder)
        below = {i: name for i, name in enumerate(images) if name.startswith(inside)}
        try:
            frame = _read(found)
            _add(listed, found, frame, WrittenNames(below, by_plain_name), own, classes)
        except UserError as error:
            if found.is_of_labels:
                listed.remarks.append(f"{found.name} is not used: {error}")
    return listed


def _find_lists(source: Path, images: Sequence[str]) -> Iterator[_List]:
    """The lists by folder; none that belong to a single image, nor lists of predictions."""
    stems = {stem(name) for name in images}
    for folder in walk(source):
        if not isinstance(folder, Folder):
            continue
        for file in folder.files:
            if found := _judge(folder, file, stems):
                yield found


def _judge(folder: Folder, file: str, stems: Collection[str]) -> _List | None:
    path, name = folder.path_of(file), folder.name_of(file)
    title = Path(file).name.split(".")[0].casefold()
    if not is_text_table(path) or stem(name) in stems or _PREDICTED.search(title):
        return None
    is_of_labels = _LABELS.search(title) is not None
    if not is_of_labels and (path.suffix.lower() not in _OTHERS):
        return None
    return _List(path, name, folder.parts, is_of_labels)


def _read(found: _List) -> pl.DataFrame:
    """All columns as text. Raises `UserError` if it cannot be read."""
    if not found.path.is_file():
        raise UserError("it is not a file.")
    return scan_text(found.path).frame


def _add(
    listed: ListedLabels,
    found: _List,
    frame: pl.DataFrame,
    names: WrittenNames,
    own: DatasetSettings,
    classes: Sequence[str],
) -> None:
    """Add what a list says. Raises `UserError` if it names nothing, or has no labels."""
    column, matches = _find_names(frame, names, own)
    rows = [row for row, match in enumerate(matches) if match]
    if not rows:
        raise UserError(_tell_strangers(frame[column]))
    labels = frame[_find_labels(frame.drop(column), rows, own, classes)]
    given = [(matches[row], labels[row]) for row in rows if labels[row] is not None]
    if not found.is_of_labels:
        meanings = read_meanings((label for _, label in given), own.labels, classes)
        if not any(meanings.values()) or any(label not in meanings for _, label in given):
            return
    images, samples = set(), set()
    for match, label in given:
        if match and match.sample is not None:
            listed.of_sample[match.sample].add(label)
            samples.add(match.sample)
        elif match and match.image is not None:
            listed.of_image[match.image].add(label)
            images.add(match.image)
    said = (
        f"{found.name} names {several(len(images), 'new image')} and {several(len(samples), 'sample')} of the dataset"
    )
    missed = [text for text, match in zip(frame[column], matches, strict=True) if not match and text is not None]
    rest = f"; rows that name neither: {len(missed):,}, such as {missed[0]!r}" if missed else ""
    listed.remarks.append(f"{said}{rest}.")


def _find_names(frame: pl.DataFrame, names: WrittenNames, own: DatasetSettings) -> tuple[str, list[Found | None]]:
    """The column that names most images, or the one that the settings name, and what each of its rows names."""
    named = [column for column in (own.name_column, own.image_column) if column in frame.columns]
    best: tuple[str, list[Found | None]] = (frame.columns[0], [None] * len(frame))
    for column in named[:1] or frame.columns:
        matches = [None if text is None else names.find(text) for text in frame[column]]
        if len(frame) - matches.count(None) > len(frame) - best[1].count(None):
            best = column, matches
    return best


def _find_labels(frame: pl.DataFrame, rows: list[int], own: DatasetSettings, classes: Sequence[str]) -> str:
    """The column of labels: that of the settings, one with a usual name, or the only one that holds classes.

    Raises `UserError` if there is none.
    """
    if own.label_column and own.label_column in frame.columns:
        return own.label_column
    columns = find_columns(frame, DatasetSettings(source=own.source), image=None)
    if columns.label is not None and not columns.notes.doubts:
        return columns.label
    if column := find_class_column(frame[rows], own.labels, classes):
        return column
    raise UserError(f"none of its columns {', '.join(frame.columns)} holds classes of the dataset.")


def find_class_column(frame: pl.DataFrame, mapping: dict[str, str], classes: Sequence[str]) -> str | None:
    """The only column of text or integers in which every value is a class or means that there is no label."""
    found = []
    for column in frame:
        if column.dtype != pl.String and not column.dtype.is_integer() and not isinstance(column.dtype, pl.Categorical):
            continue
        texts = column.cast(pl.String).drop_nulls().unique().to_list()
        if len(texts) > 2 * len(classes) + 20:
            continue
        meanings = read_meanings(texts, mapping, classes)
        if any(meanings.values()) and all(text in meanings for text in texts):
            found.append(column.name)
    return found[0] if len(found) == 1 else None


def _tell_strangers(column: pl.Series) -> str:
    example = next((f", such as {text!r}," for text in column if text is not None), "")
    return f"the names in its column {column.name!r}{example} are neither those of the images here nor of samples."
