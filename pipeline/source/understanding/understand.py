"""What a source means: its classes and their order, splits, groups, metadata and predictions, and what is unclear.

Nothing is decoded. With doubts, everything follows the suggestions, so that it can be summarised before it is asked.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.errors import UserError
from lake.query.leaks.suspected_groups import suspect_groups
from pipeline.config.dataset import DatasetSettings
from pipeline.pixels.unusable import Unusable
from pipeline.source.columns.column_files import ROW, SPLIT
from pipeline.source.columns.metadata import metadata_columns, text_columns
from pipeline.source.listing import ListedImage, Listing
from pipeline.source.meaning.class_order import natural_order, order_classes
from pipeline.source.meaning.group_columns import ask_for_groups, tell_groups_in_names
from pipeline.source.meaning.labels import settle_labels
from pipeline.source.meaning.many_classes import merge_small_classes
from pipeline.source.meaning.positive_class import POSITIVE, settle_positive
from pipeline.source.meaning.repeated_names import refuse_repeated
from pipeline.source.meaning.split_column import settle_splits
from pipeline.source.notes import Notes
from pipeline.source.predictions.label_columns import settle_label_column
from pipeline.source.predictions.prediction_numbers import to_logits
from pipeline.source.predictions.read_predictions import Numbers, join_tables, read_numbers, refused_rows, tell_order
from pipeline.source.understanding.read import Say, read_source


@dataclass(frozen=True)
class SourcePredictions:
    """Predictions by row of the listing: K logits and D features; D is 0 without embeddings."""

    logits_NK: NDArray[np.float32]
    embedding_ND: NDArray[np.float32]
    embedded_N: NDArray[np.bool_]
    """Whether a row has an embedding."""


@dataclass(frozen=True)
class Understanding:
    """A source as it was understood, before anything is decoded."""

    own: DatasetSettings
    listing: Listing
    """Labels are classes; splits are train, validation, test, unlabeled, or None where they are to be drawn."""
    classes: list[str]
    """In the order that the results use."""
    groups: list[str | None] | None
    """The group of each image of the listing, such as a patient; None if images are drawn one by one."""
    metadata: dict[str, pl.Series] = field(default_factory=dict)
    """By row of the listing."""
    predictions: SourcePredictions | None = None


def understand(own: DatasetSettings, cache: Path, say: Say) -> Understanding:
    """Read a source and settle what it means. Raises `UserError` if it cannot be read."""
    listing = read_source(own, cache, say)
    refuse_repeated(listing)
    join_tables(listing, own)
    predictions: SourcePredictions | None = None
    if own.predictions is None:
        _settle_labels(listing, own)
        _settle_splits(listing, own)
        classes = _name_classes(listing)
    else:
        predictions, classes = _settle_predictions(listing, own)
        _settle_splits(listing, own)
    _check_columns(listing, own)
    metadata = metadata_columns(listing.table, own, decimal_commas=listing.decimal_commas)
    groups = _settle_groups(listing, own)
    classes = merge_small_classes(listing, classes, own)
    listing.notes = listing.notes.on_one_line()
    return Understanding(own, listing, classes, groups, metadata, predictions)


def _check_columns(listing: Listing, own: DatasetSettings) -> None:
    """Raises `UserError` if a column that the settings name is not there, as in a folder, which has none.

    Those of images, labels, splits and names are checked where a table is read.
    """
    columns = _columns_of(listing)
    named = {"metadata": own.metadata, "group_column": [own.group_column] if own.group_column else []}
    for setting in () if columns else ("image_column", "label_column", "split_column", "name_column"):
        named[setting] = [value] if (value := getattr(own, setting)) else []
    for setting, names in named.items():
        absent = [name for name in names if name not in columns]
        if absent and columns:
            raise UserError(
                f"The dataset {own.source} has no column {absent[0]!r}: its columns are {', '.join(columns[:50])}."
            )
        if absent:
            raise UserError(
                f"{setting} = {getattr(own, setting)!r}, but {own.source} is a {listing.kind}, which has no columns: "
                "list its images in a table."
            )


def _columns_of(listing: Listing) -> list[str]:
    """The columns that the source itself has."""
    return [name for name in listing.table.columns if name not in (ROW, SPLIT)]


def _settle_labels(listing: Listing, own: DatasetSettings, width: int | None = None) -> None:
    """Give every image its class, or none."""
    declared = listing.class_names or (own.predictions.classes if own.predictions else None) or None
    written = [image.label for image in listing.images]
    if declared and width is not None:
        written = _name_indices(written, declared, listing)
    settled = settle_labels(written, own.labels, classes=declared, width=width)
    listing.notes.extend(settled.notes)
    if settled.notes.doubts:
        suggested = settled.notes.doubts[0].suggestion
        settled = settle_labels(written, suggested, classes=declared, width=width)
    listing.images = [replace(image, label=label) for image, label in zip(listing.images, settled.labels, strict=True)]


def _name_indices(written: list[str | None], declared: list[str], listing: Listing) -> list[str | None]:
    """Labels that are all positions 0 to K-1 of the K declared classes, by the names of these."""
    texts = {text.strip() for text in written if text}
    places = {str(i): name for i, name in enumerate(declared)}
    if not texts or not texts <= places.keys() or texts & set(declared):
        return written
    listing.notes.extend(
        Notes(remarks=[f"The labels are positions: 0 is {declared[0]!r}, {len(declared) - 1} {declared[-1]!r}."])
    )
    return [places[text.strip()] if text else None for text in written]


def _name_classes(listing: Listing) -> list[str]:
    """The classes that occur, in the order that the source declares, otherwise in natural order."""
    labels = {image.label for image in listing.images if image.label is not None}
    declared = [name for name in listing.class_names or [] if name in labels]
    return [*declared, *natural_order(labels - set(declared))]


def _settle_predictions(listing: Listing, own: DatasetSettings) -> tuple[SourcePredictions, list[str]]:
    """Logits and embeddings of every row, and the classes in their order."""
    settings = own.predictions
    assert settings is not None
    settle_label_column(listing)
    plain = settle_labels([image.label for image in listing.images], own.labels).labels
    numbers = read_numbers(listing, own, natural_order({label for label in plain if label}))
    width = max(numbers.predictions.numbers_NK.shape[1], 2)
    _settle_labels(listing, own, width)
    found = natural_order({image.label for image in listing.images if image.label is not None})
    classes, is_declared = _classes_of(numbers, found, listing, own)
    source_names = numbers.predictions.class_names or []
    converted = to_logits(
        numbers.predictions.numbers_NK,
        settings,
        classes,
        positive=source_names[0] if len(source_names) == 1 else None,
        refused=refused_rows(numbers),
    )
    listing.used += numbers.columns
    listing.notes.extend(numbers.notes)
    listing.notes.extend(converted.notes)
    _refuse(listing, converted.refused)
    labels = _codes(listing, classes)
    rows = np.array([image.row for image in listing.images], dtype=np.int64)
    logits_NK = converted.logits_NK
    if len(rows) and numbers.predictions.numbers_NK.shape[1] == 1:
        said = settings.positive or (source_names[0] if len(source_names) == 1 else None)
        is_set = settings.positive is not None
        positive, notes = settle_positive(logits_NK[rows], labels, classes, said=said, is_set=is_set)
        listing.notes.doubts = [doubt for doubt in listing.notes.doubts if doubt.setting != POSITIVE]
        listing.notes.extend(notes)
        logits_NK = logits_NK if positive == (said or classes[1]) else logits_NK[:, ::-1].copy()
    elif len(rows):
        order = order_classes(logits_NK[rows], labels, classes, declared=classes if is_declared else None)
        listing.notes.extend(order.notes)
        classes = order.order
    if len(rows):
        remarks = tell_order(numbers, _by_row(_codes(listing, classes), rows, len(listing.table)), own)
        listing.notes.extend(Notes(remarks=remarks))
    return SourcePredictions(logits_NK, numbers.embedding_ND, numbers.embedded_N), classes


def _classes_of(numbers: Numbers, found: list[str], listing: Listing, own: DatasetSettings) -> tuple[list[str], bool]:
    """The K classes of the predictions, and whether their order is declared.

    Raises `UserError` if their number is another one, or if a label is not among them.
    """
    settings, names = own.predictions, numbers.predictions.class_names
    assert settings is not None
    width = max(numbers.predictions.numbers_NK.shape[1], 2)
    several = names if names and len(names) > 1 else None
    declared = several or settings.classes or (listing.class_names if listing.class_names else None)
    classes = list(declared or found)
    if not classes:
        raise UserError(
            f"No row of {own.source} has a label, and nothing names the {width:,} classes: set label_column in "
            "[dataset], or list the classes, in the order of the numbers, in classes of [dataset.predictions]. "
            f"Its columns are {', '.join(_columns_of(listing)[:50])}."
        )
    if len(classes) != width or len(set(classes)) != len(classes):
        whose = "are named" if declared else "are among the labels"
        is_single = numbers.predictions.numbers_NK.shape[1] == 1
        have = "one number per row, which is enough for 2 classes," if is_single else f"{width:,} numbers per row,"
        raise UserError(
            f"The predictions of {own.source} have {have} but {len(set(classes)):,} classes {whose}: list all "
            "classes, in the order of the numbers, in classes of [dataset.predictions]."
        )
    if strangers := set(found) - set(classes):
        raise UserError(
            f"The label {min(strangers)!r} of {own.source} is not a class of the predictions: "
            "add it at its position in classes of [dataset.predictions], or correct the label with labels."
        )
    return classes, declared is not None


def _refuse(listing: Listing, refused: dict[int, Unusable]) -> None:
    """Refuse the images whose row cannot be used."""
    listing.refused += [(image.name, refused[image.row]) for image in listing.images if image.row in refused]
    listing.images = [image for image in listing.images if image.row not in refused]


def _settle_splits(listing: Listing, own: DatasetSettings) -> None:
    """Give every image its split, or none where it is to be drawn; labels of unlabeled images are withheld.

    With predictions, a labelled image without a split is a test sample.
    """
    images = listing.images
    written, labels = [image.split for image in images], [image.label for image in images]
    column = own.split_column or listing.split_column
    settled = settle_splits(written, labels, dict(own.splits), column=column)
    listing.notes.extend(settled.notes)
    if settled.notes.doubts:
        (doubt,) = settled.notes.doubts
        if doubt.setting == "splits":
            settled = settle_splits(written, labels, doubt.suggestion, column=column)
        else:
            settled = settle_splits([None] * len(images), labels, {}, column=column)
    kept: list[ListedImage] = []
    for position, (image, split, label) in enumerate(zip(images, settled.splits, settled.labels, strict=True)):
        if position in settled.refused:
            listing.refused.append((image.name, settled.refused[position]))
            continue
        if label is None:
            split = "unlabeled"
        elif split is None and own.predictions:
            split = "test"
        kept.append(replace(image, label=label, split=split))
    listing.images = kept


def _settle_groups(listing: Listing, own: DatasetSettings) -> list[str | None] | None:
    """The groups of the named column; otherwise a doubt if one looks like groups and splits must be drawn."""
    rows = [image.row for image in listing.images]
    if own.group_column:
        column = listing.table[own.group_column]
        if column.dtype.is_nested() or column.dtype == pl.Binary:
            raise UserError(
                f"The column {own.group_column!r} of {own.source} has type {column.dtype}, but groups are text or "
                "numbers: choose another group_column."
            )
        values = column.cast(pl.String)
        return [values[row] for row in rows]
    if own.group_column is not None or own.predictions is not None:
        return None
    labels = [image.label for image in listing.images]
    splits = [image.split for image in listing.images]
    if not listing.table.width:
        remark = tell_groups_in_names([image.name for image in listing.images], labels)
        listing.notes.extend(Notes(remarks=[remark] if remark and None in splits else []))
        return None
    columns = {name: column.gather(rows) for name, column in text_columns(listing.table, listing.used).items()}
    suspects = suspect_groups(columns, labels, images=len(rows), splits=splits)
    listing.notes.extend(ask_for_groups(suspects, columns, splits))
    return None


def _codes(listing: Listing, classes: list[str]) -> NDArray[np.int64]:
    index = {name: i for i, name in enumerate(classes)}
    codes = [-1 if image.label is None else index[image.label] for image in listing.images]
    return np.array(codes, dtype=np.int64)


def _by_row(label_M: NDArray[np.int64], rows_M: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    label = np.full(rows, -1, dtype=np.int64)
    label[rows_M] = label_M
    return label
