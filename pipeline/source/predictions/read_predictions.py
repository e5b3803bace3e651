"""The predictions and embeddings of a listing: from its own table, or joined from other ones by name."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings, PredictionSettings
from pipeline.pixels.unusable import Unusable
from pipeline.source.columns.class_labels import name_labels
from pipeline.source.columns.column_files import ROW, SPLIT
from pipeline.source.columns.table_columns import find_columns
from pipeline.source.columns.tables import Table, read_table, rows_of
from pipeline.source.listing import Listing
from pipeline.source.notes import Doubt, Notes
from pipeline.source.predictions.embedding_numbers import EmbeddingReport, read_embedding_file, read_embeddings
from pipeline.source.predictions.joins import join_by_name, suspect_order
from pipeline.source.predictions.number_lists import ARRAY_FILES, holds_lists
from pipeline.source.predictions.prediction_columns import PredictionColumn, find_predictions
from pipeline.source.predictions.wide_columns import find_features, read_wide
from pipeline.source.text.decimal_numbers import read_commas

EMBEDDINGS = ("embedding", "embeddings", "features", "feature", "emb", "latent", "latents", "vector", "representation")

WORDS = (*EMBEDDINGS, "feat", "feats", "embed", "embeds")
FEATURES = "__features__"
"""The column in which columns of one feature each are put together."""


@dataclass(frozen=True)
class Numbers:
    """The stored numbers of every row of a listing [N rows, K numbers, D features]; their classes are not settled."""

    predictions: PredictionColumn
    embedding_ND: NDArray[np.float32]
    """D is 0 if there are none, or if they carry no information; rows without one are zeros."""
    embedded_N: NDArray[np.bool_]
    columns: list[str]
    """The columns of the listing that were read."""
    notes: Notes = field(default_factory=Notes)


def join_tables(listing: Listing, own: DatasetSettings) -> None:
    """Put the columns of the table of predictions, if that is another one, beside the images of the listing.

    What only this table says on splits and labels is taken from it.
    """
    settings = own.predictions
    if settings is None:
        return
    if not listing.table.width:  # a folder: predictions in an array are in the order of its images
        listing.table = pl.DataFrame({ROW: [image.name for image in listing.images]})
        listing.images = [image.at_row(row) for row, image in enumerate(listing.images)]
        listing.used = [ROW]
    if settings.table is None or settings.table.suffix in ARRAY_FILES:
        return
    table = _read_other(settings.table, own, listing)
    joined = join_by_name([image.name for image in listing.images], table.frame, name_column=own.name_column or None)
    beside = rows_of(table, joined.rows.tolist())
    own_rows = [image.row for image in listing.images]
    listing.notes.extend(joined.notes)
    mine = listing.table[own_rows]
    listing.table = pl.concat([mine, beside.drop(mine.columns, strict=False)], how="horizontal")
    listing.decimal_commas = listing.decimal_commas or table.decimal_commas
    for position, why in joined.refused.items():
        listing.refused.append((listing.images[position].name, why))
    listing.images = [image.at_row(row) for row, image in enumerate(listing.images)]
    _take_splits_and_labels(listing, replace(table, frame=beside), own)
    listing.images = [image for image in listing.images if image.row not in joined.refused]


def _take_splits_and_labels(listing: Listing, beside: Table, own: DatasetSettings) -> None:
    """The splits that only the table of predictions names, and its labels, which are asked for: they may be predicted.

    `beside` has a row for each image.
    """
    lacks_split = all(image.split is None for image in listing.images)
    lacks_label = all(image.label is None for image in listing.images)
    given = {key: value for key in ("split_column", "label_column") if (value := getattr(own, key)) is not None}
    given = {key: value for key, value in given.items() if not value or value in beside.frame.columns}
    columns = find_columns(beside.frame, DatasetSettings(source=own.source, **given), image=None)
    if lacks_split and columns.split:
        splits = beside.frame[columns.split].cast(pl.String)
        listing.images = [replace(image, split=splits[image.row]) for image in listing.images]
        listing.split_column = columns.split
        listing.notes.remarks.append(f"The splits are those of the column {columns.split!r} of the predictions.")
    if lacks_label and columns.label:
        labels = name_labels(beside.frame[columns.label], beside.class_names.get(columns.label))
        listing.class_names = beside.class_names.get(columns.label)
        listing.images = [replace(image, label=labels[image.row]) for image in listing.images]
        if "label_column" not in given:
            sentence = (
                f"No image of {own.source} has a label, but the predictions have a column {columns.label!r}: it may be "
                'of labels, or of predicted classes; "" is for images without labels.'
            )
            listing.notes.doubts.append(Doubt("label_column", sentence, columns.label))
    taken = [columns.split if lacks_split else None, columns.label if lacks_label else None]
    listing.used = [*listing.used, *(column for column in taken if column)]


def read_numbers(listing: Listing, own: DatasetSettings, labels: list[str]) -> Numbers:
    """The predictions and embeddings beside the images of a listing; `labels` are the classes that occur.

    Raises `UserError` if there are no predictions.
    """
    settings = own.predictions
    assert settings is not None
    features = _gather_features(listing, settings)
    embedding, notes = FEATURES if features else _find_embedding(listing.table, settings), Notes()
    group = own.group_column or ""
    beside = [*listing.used, *own.metadata, group, *features, *([embedding] if embedding else [])]
    frame = listing.table.drop(name for name in beside if name in listing.table.columns and name != settings.column)
    predictions = find_predictions(frame.with_columns(map(read_commas, frame)), settings, labels)
    notes.extend(predictions.notes)
    columns = [*predictions.columns, *features, *([embedding] if embedding else [])]
    report = _read_embeddings(listing, own, embedding)
    if report is None:
        return Numbers(
            predictions, np.empty((len(listing.table), 0), np.float32), np.zeros(0, np.bool_), columns, notes
        )
    if features:
        notes.remarks.append(f"The embeddings are {len(features):,} columns from {features[0]!r} to {features[-1]!r}.")
    notes.extend(report.notes)
    embedding_ND = report.embedding_ND if report.informative else report.embedding_ND[:, :0]
    return Numbers(predictions, embedding_ND, report.usable_N, columns, notes)


def tell_order(numbers: Numbers, label_N: NDArray[np.int64], own: DatasetSettings) -> list[str]:
    """A remark if embeddings that were put beside the labels by their order may be in another one."""
    files = own.predictions and (own.predictions.table, own.predictions.embedding_table)
    if not files or not any(files) or not numbers.embedding_ND.shape[1]:
        return []
    sentence = suspect_order(numbers.embedding_ND, label_N)
    return [sentence] if sentence else []


def refused_rows(numbers: Numbers) -> dict[int, Unusable]:
    """Rows of which no prediction can be read at all."""
    return dict(numbers.predictions.refused)


def _read_other(file: Path, own: DatasetSettings, listing: Listing) -> Table:
    """A table beside that of the images. Raises `UserError` if these have no names by which to join it."""
    if listing.is_numbered:
        raise UserError(
            f"The rows of {own.source} have no names, by which {file} could be joined: set name_column in [dataset] to "
            "the column of names in both tables."
        )
    table = read_table(file, dict(own.splits))
    return replace(table, frame=table.frame.drop(ROW, SPLIT, strict=False))


def _find_embedding(table: pl.DataFrame, settings: PredictionSettings) -> str | None:
    """The column of embeddings: the named one, otherwise one with a usual name that holds lists."""
    if settings.embedding_table is not None:
        return None
    if settings.embedding_column is not None:
        if settings.embedding_column and settings.embedding_column not in table.columns:
            columns = [name for name in table.columns if name not in (ROW, SPLIT)]
            raise UserError(
                f"There is no column {settings.embedding_column!r} of embeddings: correct embedding_column in "
                f"[dataset.predictions]. The columns are {', '.join(columns[:50])}."
            )
        return settings.embedding_column or None
    plain = {name.casefold(): name for name in table.columns}
    return next((plain[name] for name in EMBEDDINGS if name in plain and holds_lists(table[plain[name]])), None)


def _gather_features(listing: Listing, settings: PredictionSettings) -> list[str]:
    """The columns of one number each that are the embeddings, put together as the column `FEATURES`; empty if none.

    They are called `emb_0`, `emb_1`, ..., or begin with the setting `embedding_column`.
    """
    table, prefix = listing.table, settings.embedding_column
    if settings.embedding_table is not None or prefix in table.columns or prefix == "":
        return []
    if prefix is not None:
        columns = find_features(_starting(table, prefix), None)
    elif _find_embedding(table, settings) is not None:
        return []
    else:
        columns = find_features(table.drop(listing.used, strict=False), WORDS)
    if columns:
        listing.table = table.with_columns(pl.Series(FEATURES, read_wide(table, columns)))
    return columns


def _read_embeddings(listing: Listing, own: DatasetSettings, column: str | None) -> EmbeddingReport | None:
    settings = own.predictions
    assert settings is not None
    file = settings.embedding_table
    if file is None:
        return read_embeddings(listing.table[column]) if column else None
    if file.suffix in ARRAY_FILES:
        return read_embedding_file(file, len(listing.table), settings.embedding_column)
    table = _read_other(file, own, listing)
    name = settings.embedding_column or next((n for n in table.frame.columns if holds_lists(table.frame[n])), None)
    columns = [] if name in table.frame.columns else find_features(_starting(table.frame, name or ""), None)
    if columns:
        name = FEATURES
        numbers = pl.Series(FEATURES, read_wide(table.frame, columns))
        table = replace(table, frame=table.frame.drop(columns).with_columns(numbers))
    if name not in table.frame.columns:
        raise UserError(
            f"No column of {file} holds lists of numbers, and none are numbered as f0, f1, ...: set "
            "embedding_column in [dataset.predictions]."
        )
    names = [""] * len(listing.table)
    for image in listing.images:
        names[image.row] = image.name
    joined = join_by_name(names, table.frame, name_column=own.name_column or None)
    report = read_embeddings(rows_of(table, joined.rows.tolist())[name])
    report.notes.remarks[:0] = joined.notes.remarks
    return report


def _starting(frame: pl.DataFrame, prefix: str) -> pl.DataFrame:
    """The columns whose names begin with `prefix`."""
    return frame.select(name for name in frame.columns if name.startswith(prefix))
