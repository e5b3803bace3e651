"""Read new data as a source is read, where the classes and samples of the dataset are known: nothing is asked.

An image whose label is not a class is refused; a label of a sample of the dataset is returned by its name.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings
from pipeline.data.incoming.labels import (
    Meanings,
    enumerate_few,
    label_by_folders,
    read_meanings,
    several,
    tell_meanings,
)
from pipeline.data.incoming.lists import find_class_column, read_lists
from pipeline.pixels.unusable import Unusable
from pipeline.source.archives.unpack import unpack
from pipeline.source.columns.metadata import metadata_columns
from pipeline.source.columns.shards import is_pattern
from pipeline.source.columns.table_columns import find_columns
from pipeline.source.columns.tables import TEXT
from pipeline.source.errors import EmptyTable, NoColumn
from pipeline.source.listing import ListedImage, Listing
from pipeline.source.meaning.split_names import map_splits
from pipeline.source.understanding.read import Say, read_source

COLUMNS = ("image_column", "label_column", "split_column", "name_column", "group_column")
WITHOUT_IMAGE = ("image missing", "missing file")
"""Why rows are refused that may label a sample of the dataset."""


@dataclass(frozen=True)
class Incoming:
    """New images in the order of their names, each labelled with a class or not at all, and what else there is."""

    images: list[ListedImage]
    refused: list[tuple[str, Unusable]]
    labels: dict[str, str]
    """Class by name of samples of the dataset."""
    metadata: dict[str, pl.Series]
    """By row of the images; only columns that the new data have."""
    remarks: list[str]


@dataclass
class _Written:
    """What the new data say of each image and of samples of the dataset, as it is written."""

    of_image: list[set[str]]
    by_folder: list[str | None]
    """A label that counts if there is no other."""
    of_sample: dict[str, set[str]] = field(default_factory=dict)

    def count(self) -> Counter[str]:
        counts = Counter(label for labels in (*self.of_image, *self.of_sample.values()) for label in labels)
        counts.update(label for label in self.by_folder if label is not None)
        return counts


def read_incoming(
    source: Path | str,
    own: DatasetSettings | None,
    classes: Sequence[str],
    samples: Collection[str],
    *,
    cache: Path,
    say: Say,
) -> Incoming:
    """Everything in the new data; `own` are the settings of a custom dataset, `samples` the names of its samples.

    Raises `UserError` if the source as a whole cannot be read.
    """
    listing, used = list_incoming(source, own, cache, say)
    folder = _folder_of(source, listing, cache, say)
    remarks = [] if folder else [*listing.notes.remarks]
    images, refused = _without_repeated(sorted(listing.images, key=lambda image: image.name), listing.refused)
    if folder:
        written = _Written(
            [set() for _ in images],
            label_by_folders([image.name for image in images], own.class_level if own else None, used.labels, classes),
        )
        if count := len(images) - written.by_folder.count(None):
            remarks.append(f"Folders name the label of {several(count, 'image')}.")
        listed = read_lists(folder, [image.name for image in images], samples, used, classes)
        remarks += listed.remarks
        written.of_sample = dict(listed.of_sample)
        for position, texts in listed.of_image.items():
            written.of_image[position] |= texts
    else:
        column = _label_column(listing, used, classes, remarks)
        written = _Written([_texts_of(image, column) for image in images], [None] * len(images))
        refused, written.of_sample = _take_labels_of_samples(listing, refused, used, column, set(samples))
    if not classes and (told := len(written.count())):
        remarks.append(
            f"No image of the dataset has a label, so the new ones get none either, although {several(told, 'label')} "
            "came with them: label images in the source of the dataset."
        )
        written = _Written([set() for _ in images], [None] * len(images))
    counts = written.count()
    meanings = read_meanings(counts, used.labels, classes)
    remarks += tell_meanings(counts, meanings)
    images, strangers = _label(images, written, meanings, remarks)
    labels = _label_samples(written.of_sample, meanings, remarks)
    images = _withhold(images, used, remarks)
    metadata = metadata_columns(listing.table, used, decimal_commas=listing.decimal_commas)
    return Incoming(images, [*refused, *_refuse(strangers, classes)], labels, metadata, remarks)


def list_incoming(
    source: Path | str, own: DatasetSettings | None, cache: Path, say: Say
) -> tuple[Listing, DatasetSettings]:
    """The listing of new data, and the settings of the dataset as far as the new data have the columns they name.

    Raises `UserError` if they cannot be read.
    """
    if isinstance(source, Path) and not source.exists() and not is_pattern(source):
        raise UserError(f"The new data {source} do not exist: check new_data.")
    settings = (own or DatasetSettings(source=source)).model_copy(
        update={"source": source, "class_level": 0, "predictions": None}
    )
    lacking = []
    while True:
        try:
            listing = read_source(settings, cache, say)
            break
        except NoColumn as error:
            lacking.append(error.column)
            settings = _without_column(settings, error.column)
        except EmptyTable:
            listing = Listing(kind=TEXT, files=[source] if isinstance(source, Path) else [])
            break
        except UserError as error:
            raise UserError(f"The new data cannot be read. {error}") from None
    if unreadable := next((why for name, why in listing.refused if name == "."), None):
        raise UserError(f"The new data {source} cannot be read ({unreadable.detail or unreadable.reason}).")
    if not listing.table.width:
        settings = settings.model_copy(update={"metadata": [], "group_column": None})
    if lacking:
        listing.notes.remarks.append(f"Columns that the settings name are lacking: {enumerate_few(lacking)}.")
    return listing, settings


def _without_column(own: DatasetSettings, column: str) -> DatasetSettings:
    values = own.model_dump(exclude_unset=True)
    for key in COLUMNS:
        if values.get(key) == column:
            del values[key]
    return DatasetSettings(**values | {"metadata": [name for name in own.metadata if name != column]})


def _folder_of(source: Path | str, listing: Listing, cache: Path, say: Say) -> Path | None:
    """The folder in which lists of labels may lie; None if the new data are no folder of images."""
    if not isinstance(source, Path) or not listing.kind.endswith(Listing.kind):
        return None
    return unpack(source, cache, say) if source.is_file() else source


def _without_repeated(
    images: list[ListedImage], refused: list[tuple[str, Unusable]]
) -> tuple[list[ListedImage], list[tuple[str, Unusable]]]:
    """The first image of each name; the others are refused."""
    first = {image.name: image for image in reversed(images)}
    kept = [image for image in images if first[image.name] is image]
    repeated = [image.name for image in images if first[image.name] is not image]
    return kept, [*refused, *((name, Unusable("duplicate name")) for name in repeated)]


def _label_column(
    listing: Listing, own: DatasetSettings, classes: Sequence[str], remarks: list[str]
) -> pl.Series | None:
    """The labels of a table by row if they are not those that were found by the name of a column.

    If no column is called as one of labels, the only one that holds classes is taken, and none if there is none.
    """
    is_guessed = any(doubt.setting == "label_column" for doubt in listing.notes.doubts)
    is_found = any(image.label is not None for image in listing.images) and not is_guessed
    if is_found or own.label_column is not None or not listing.table.width:
        return None
    free = [name for name in listing.table.columns if name not in listing.used or is_guessed]
    column = find_class_column(listing.table.select(free), own.labels, classes)
    if column:
        remarks.append(f"The labels are those of the column {column!r}, which holds classes of the dataset.")
        return listing.table[column].cast(pl.String)
    return pl.repeat(None, len(listing.table), dtype=pl.String, eager=True) if is_guessed else None


def _texts_of(image: ListedImage, column: pl.Series | None) -> set[str]:
    label = image.label if column is None or image.row < 0 else column[image.row]
    return set() if label is None else {label}


def _take_labels_of_samples(
    listing: Listing,
    refused: list[tuple[str, Unusable]],
    own: DatasetSettings,
    column: pl.Series | None,
    samples: set[str],
) -> tuple[list[tuple[str, Unusable]], dict[str, set[str]]]:
    """What is refused but for rows without an image that name a sample of the dataset, and the labels of those."""
    named = {name for name, why in refused if why.reason in WITHOUT_IMAGE} & samples
    if not named or not listing.table.width:
        return refused, {}
    columns = find_columns(listing.table, own, image=next(iter(listing.used), None))
    if column is None and columns.label:
        column = listing.table[columns.label].cast(pl.String)
    labels: dict[str, set[str]] = {}
    for name_column in (columns.name, listing.used[0]):
        if column is None or name_column is None or listing.table[name_column].dtype != pl.String:
            continue
        for name, label in zip(listing.table[name_column], column, strict=True):
            if name is not None and name.strip() in named and label is not None:
                labels.setdefault(name.strip(), set()).add(label)
    return [(name, why) for name, why in refused if name not in named], labels


def _label(
    images: list[ListedImage], written: _Written, meanings: Meanings, remarks: list[str]
) -> tuple[list[ListedImage], dict[str, str]]:
    """The images with their class, and by name the label of each that has an unknown one."""
    labelled, strangers, contradictory = [], {}, []
    for image, labels, folder in zip(images, written.of_image, written.by_folder, strict=True):
        of_folder = {folder} if folder is not None else set()
        told = labels | {text for text in of_folder if text in meanings}
        unknown = sorted(text for text in labels if text not in meanings)
        classes = {label for text in told if (label := meanings.get(text)) is not None}
        if unknown or (of_folder and not classes and folder not in meanings):
            strangers[image.name] = unknown[0] if unknown else str(folder)
            continue
        if len(classes) > 1:
            contradictory.append(image.name)
        labelled.append(replace(image, label=next(iter(classes)) if len(classes) == 1 else None))
    if contradictory:
        remarks.append(
            f"Without a label, as several classes are given: {several(len(contradictory), 'image')}, "
            f"such as {contradictory[0]}."
        )
    return labelled, strangers


def _label_samples(written: dict[str, set[str]], meanings: Meanings, remarks: list[str]) -> dict[str, str]:
    """The class of each sample of the dataset that is given exactly one."""
    labels, unclear = {}, []
    for name, texts in written.items():
        classes = {meanings.get(text) for text in texts} - {None}
        if len(classes) == 1 and all(text in meanings for text in texts):
            labels[name] = str(classes.pop())
        elif classes or any(text not in meanings for text in texts):
            unclear.append((name, sorted(texts)[0]))
    if unclear:
        name, text = unclear[0]
        remarks.append(
            f"Labels of samples of the dataset that are not one of its classes: {len(unclear):,}, "
            f"such as {text!r} of {name}."
        )
    return labels


def _withhold(images: list[ListedImage], own: DatasetSettings, remarks: list[str]) -> list[ListedImage]:
    """The images without the labels of those that the new data name unlabeled; further splits are said."""
    known = map_splits({image.split for image in images if image.split is not None}) | dict(own.splits)
    splits = [known.get(image.split) if image.split is not None else None for image in images]
    trained = Counter(
        split
        for image, split in zip(images, splits, strict=True)
        if image.label is not None and split not in (None, "test")
    )
    del trained["unlabeled"]
    remarks += [
        f"Labelled images named {split} join the split test, as new images are not learnt from: {count:,}."
        for split, count in sorted(trained.items())
    ]
    return [
        replace(image, label=None if split == "unlabeled" else image.label)
        for image, split in zip(images, splits, strict=True)
    ]


def _refuse(strangers: dict[str, str], classes: Sequence[str]) -> list[tuple[str, Unusable]]:
    known = f"is not one of the classes {enumerate_few(classes, 12)}"
    return [(name, Unusable("unknown label", f"{label[:80]!r} {known}")) for name, label in strangers.items()]
