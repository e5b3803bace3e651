"""Columns from the scalar values of one JSON object for each sample."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from pipeline.config.dataset import DatasetSettings
from pipeline.source.columns.table_columns import find_columns
from pipeline.source.listing import Listing
from pipeline.source.notes import Notes

MAX_COLUMNS = 200
"""Keys that become columns; objects whose keys differ from sample to sample have many more."""
MAX_INTEGER = 2**63 - 1


class Columns:
    """Values by key and sample; a sample without a key has none there."""

    def __init__(self) -> None:
        self.rows = 0
        self._values: dict[str, list[Any]] = {}
        self._omitted: dict[str, None] = {}

    def add(self, values: Mapping[str, Any]) -> None:
        """Add one sample. Values that are lists or objects are left out."""
        for key, value in values.items():
            if value is None or isinstance(value, list | dict):
                continue
            if key not in self._values and len(self._values) >= MAX_COLUMNS:
                self._omitted[key] = None
                continue
            column = self._values.setdefault(key, [])
            column += [None] * (self.rows - len(column))
            column.append(value)
        self.rows += 1

    def add_column(self, name: str, values: Sequence[Any]) -> None:
        """Add a column of one value for each sample, under another name if there is one of that name."""
        while name in self._values:
            name = f"{name}_"
        self._values[name] = list(values)

    def to_frame(self, notes: Notes) -> pl.DataFrame:
        """The columns as integers, floats, booleans or text; empty without any. Notes keys that are left out."""
        if self._omitted:
            notes.remarks.append(
                f"The JSON of the samples has more than {MAX_COLUMNS:,} keys: {next(iter(self._omitted))!r} and others "
                "are left out."
            )
        full = {name: values + [None] * (self.rows - len(values)) for name, values in self._values.items()}
        return pl.DataFrame([_to_series(name, values) for name, values in full.items()])


def take_labels(listing: Listing, own: DatasetSettings) -> Listing:
    """The listing with the labels of the column that the settings name, or that is called so if it has no labels yet.

    Raises `UserError` if the settings name a column that the samples do not have.
    """
    if own.predictions or not listing.table.width:
        return listing
    has_labels = any(image.label is not None for image in listing.images)
    if has_labels and own.label_column not in listing.table.columns:
        return listing
    found = find_columns(listing.table, own, image=None)
    listing.notes.extend(found.notes)
    if found.label is None:
        return listing
    texts = listing.table[found.label].cast(pl.String)
    images = [replace(image, label=texts[image.row]) for image in listing.images]
    without = sum(image.label is None for image in images)
    remarks = [remark for remark in listing.notes.remarks if not remark.endswith("samples have no label.")]
    listing.notes.remarks = [*remarks, *([f"{without:,} of {len(images):,} samples have no label."] if without else [])]
    return replace(listing, images=images, used=[found.label])


def _to_series(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pl.Series(name, values, pl.Boolean)
    if kinds == {int} and all(value is None or abs(value) <= MAX_INTEGER for value in values):
        return pl.Series(name, values, pl.Int64)
    if kinds == {float} or (kinds == {int, float} and all(value is None or abs(value) < 2**53 for value in values)):
        return pl.Series(name, [None if value is None else float(value) for value in values], pl.Float64)
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pl.Series(name, texts, pl.String)
