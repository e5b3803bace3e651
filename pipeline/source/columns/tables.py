"""List the images and rows of a table of any kind: delimited text, parquet, Arrow or Delta."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
from polars import selectors

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings
from pipeline.pixels.unusable import Unusable
from pipeline.source.addresses.remote import beside, is_downloaded, list_remote
from pipeline.source.columns.class_labels import Names, name_labels
from pipeline.source.columns.column_files import ROW, SPLIT, reading, scan_columns
from pipeline.source.columns.image_columns import find_image_column, read_images
from pipeline.source.columns.one_hot import name_ones
from pipeline.source.columns.table_columns import Columns, find_columns
from pipeline.source.errors import NoImages
from pipeline.source.listing import Encoded, ImageRef, ListedImage, Listing
from pipeline.source.notes import Notes
from pipeline.source.paths.image_paths import resolve_paths
from pipeline.source.text.csv_files import is_text_table, scan_text
from pipeline.source.text.pixel_text import find_pixels, list_pixels

Choose = Callable[[pl.Schema, pl.DataFrame], str | None]
"""Chooses a column by the schema of a table and the texts of its first rows."""
TEXT = "delimited text"
LOOKED_AT = 200
"""Rows by which columns are judged that have no usual name."""

NAMES_OF_ROWS = (
    *("id", "image_id", "filename", "file", "path", "key", "file_name", "file_path", "filepath"),
    *("image", "image_path", "image_file", "img", "img_path", "bildname", "dateiname"),
)
MOST_REPEATED = 0.9
"""Fewer distinct values than this share of the rows are no names of files."""
MOST_NAMED = 0.8
"""Share of the texts of a column of no usual name that name files if they are the images."""


@dataclass(frozen=True)
class Table:
    """A table with all its columns but those of bytes that nothing needs, and what was noted while it was read."""

    frame: pl.DataFrame
    image: str | None
    """The column of its images."""
    kind: str
    folder: Path
    """What paths in its columns are relative to."""
    files: list[Path]
    class_names: Names = field(default_factory=dict)
    decimal_commas: bool = False
    refused: list[tuple[str, Unusable]] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)


def read_table(
    source: Path, splits: dict[str, str], choose: Choose | None = None, *, named: Collection[str] = ()
) -> Table:
    """The table at a path, with the column of images that `choose` finds.

    Other columns of bytes are read only if they are among the `named` ones. `splits` is the setting of that name.
    Raises `UserError` if the table cannot be read.
    """
    if is_text_table(source):
        text = scan_text(source)
        notes = Notes(remarks=[f"{source.name} is read with {text.remark}."] if text.remark else [])
        refused = [(f"line {line}", Unusable("too many fields", detail)) for line, detail in text.ragged.items()]
        image = choose(text.frame.schema, text.frame.head(LOOKED_AT)) if choose else None
        files = [source]
        return Table(text.frame, image, TEXT, source.parent, files, {}, text.decimal_commas, refused, notes)
    columns = scan_columns(source, splits)
    with reading(source):
        schema = columns.frame.collect_schema()
        texts = [name for name, dtype in schema.items() if dtype == pl.String]
        image = choose(schema, columns.frame.select(texts).head(LOOKED_AT).collect()) if choose else None
        needed = [name for name, dtype in schema.items() if name in (image, *named) or not _holds_bytes(dtype)]
        frame = columns.frame.select(needed).collect()
    frame = frame.with_columns(
        selectors.duration().dt.total_microseconds() / 1e6
    )  # in seconds, as text cannot hold them
    kind = "Delta table" if (source / "_delta_log").is_dir() else "parquet or Arrow"
    shards = f", {len(columns.files):,} files" if len(columns.files) > 1 else ""
    return Table(frame, image, kind + shards, columns.folder, columns.files, columns.class_names, notes=columns.notes)


def list_table(source: Path, own: DatasetSettings, cache: Path) -> Listing:
    """Everything in a table of images, of rows with predictions, or of both.

    Raises `UserError` if it cannot be read, or lacks a column that the settings name or that is needed.
    """
    table = _spelled(
        read_table(
            source,
            dict(own.splits),
            lambda schema, sample: _find_image(own, schema, sample),
            named=_settled(own),
        ),
        own,
    )
    if own.image_column is None and (table.image is None or _names_nothing(table, table.image)):
        table = replace(table, image=_find_names_of_files(table, own) or (None if own.predictions else table.image))
    frame, image = table.frame, table.image
    listing = Listing(table=frame, kind=table.kind, files=table.files, decimal_commas=table.decimal_commas)
    listing.refused += table.refused
    listing.notes.extend(table.notes)
    columns = find_columns(frame.drop(ROW, SPLIT, strict=False), own, image=image)
    listing.notes.extend(columns.notes)
    listing.split_column = columns.split or ""
    numbers = frame[ROW].to_list() if ROW in frame.columns else [f"row/{row}" for row in range(len(frame))]
    labels = _read_labels(frame, columns, table.class_names, listing)
    splits = _texts(frame, columns.split or (SPLIT if SPLIT in frame.columns else None))
    own_names = _texts(frame, columns.name)
    images, names, used = _read_images(table, numbers, own, cache, listing)
    listing.used = [*used, *_named(columns), ROW, SPLIT]
    listing.is_numbered = columns.name is None and names == numbers
    for row, (picture, name, label, split) in enumerate(zip(images, names, labels, splits, strict=True)):
        called = own_names[row] or name
        if isinstance(picture, Unusable):
            listing.refused.append((called, picture))
        elif picture is None and used:
            listing.refused.append((called, Unusable("image missing")))
        else:
            listing.images.append(ListedImage(called, picture, label, split, row))
    return listing


def _spelled(table: Table, own: DatasetSettings) -> Table:
    """The table with a column named as in the settings if it differs only in case or blanks; this is noted."""
    keys = ("image_column", "label_column", "split_column", "name_column", "group_column")
    named = [*(getattr(own, key) for key in keys), *own.metadata]
    plain = {column.casefold().strip(): column for column in table.frame.columns}
    lacking = [name for name in named if name and name not in table.frame.columns]
    renamed = {plain[name.casefold().strip()]: name for name in lacking if name.casefold().strip() in plain}
    if not renamed:
        return table
    table.notes.remarks += [f"The column {old!r} is taken for {new!r}." for old, new in renamed.items()]
    image = renamed.get(table.image, table.image) if table.image else None
    names = {renamed.get(column, column): classes for column, classes in table.class_names.items()}
    return replace(table, frame=table.frame.rename(renamed), image=image, class_names=names)


def _find_image(own: DatasetSettings, schema: pl.Schema, sample: pl.DataFrame) -> str | None:
    """The column of images that the settings name, or the likeliest; None if there is none."""
    if own.image_column is not None:
        plain = {name.casefold().strip(): name for name in schema}
        return own.image_column if own.image_column in schema else plain.get(own.image_column.casefold().strip())
    free = pl.Schema({name: dtype for name, dtype in schema.items() if name not in (ROW, SPLIT, *_settled(own))})
    return next(iter(find_image_column(free, sample)), None)


def _settled(own: DatasetSettings) -> list[str]:
    keys = ("label_column", "split_column", "name_column", "group_column")
    return [*own.metadata, *(getattr(own, key) for key in keys if getattr(own, key))]


def _holds_bytes(dtype: Any) -> bool:
    """Whether values of a type are bytes, or structs that have some."""
    if isinstance(dtype, pl.Struct):
        return any(_holds_bytes(part.dtype) for part in dtype.fields)
    return dtype == pl.Binary


def _named(columns: Columns) -> list[str]:
    return [name for name in (columns.label, columns.split, columns.name, *columns.one_hot) if name]


def _read_images(
    table: Table, numbers: list[str], own: DatasetSettings, cache: Path, listing: Listing
) -> tuple[Sequence[ImageRef | Unusable | None], list[str], list[str]]:
    """The image and name of each row, and the columns that hold the images.

    Raises `UserError` if no column does, unless the table holds predictions.
    """
    image = table.image
    if own.image_column is None and table.kind == TEXT and (pixels := find_pixels(table.frame)):
        listing.notes.remarks.append(pixels.remark)
        return list_pixels(table.frame, pixels), numbers, list(pixels.names)
    if image is None:
        if own.predictions is None:
            raise NoImages(
                f"No column of {own.source} holds images or names them: set image_column in [dataset]. "
                f"Its columns are {', '.join(_own_columns(table)[:50])}."
            )
        return [None] * len(table.frame), _usual_names(table, numbers), []
    column = read_images(table.frame[image], numbers)
    listing.notes.extend(column.notes)
    return _resolve(column.images, table.folder, own, cache, listing), column.names, [image]


def _names_nothing(table: Table, image: str) -> bool:
    """Whether a column found by its name alone names no file, as ids of a table of predictions do not."""
    texts = table.frame[image]
    if texts.dtype != pl.String:
        return False
    resolved = resolve_paths(texts.head(LOOKED_AT).to_list(), table.folder, allow_outside=False)
    return not any(resolved.images)


def _find_names_of_files(table: Table, own: DatasetSettings) -> str | None:
    """The first column whose texts, almost all different and no numbers, mostly name files, whatever it is called."""
    for name in _own_columns(table):
        texts = table.frame[name]
        if texts.dtype != pl.String or name in _settled(own) or name == table.image:
            continue
        first = texts.head(LOOKED_AT).drop_nulls().to_list()
        if len(set(first)) <= len(first) * MOST_REPEATED or 2 * sum(text.strip().isdecimal() for text in first) > len(
            first
        ):
            continue
        found = resolve_paths(first, table.folder, allow_outside=False).images
        if sum(isinstance(image, Path) for image in found) >= MOST_NAMED * len(first):
            table.notes.remarks.append(f"The images are the files that the column {name!r} names.")
            return name
    return None


def _usual_names(table: Table, numbers: list[str]) -> list[str]:
    """Names of rows without images: those of the first usual column whose values are unique text, or their numbers."""
    plain = {column.casefold(): column for column in reversed(table.frame.columns)}
    for name in NAMES_OF_ROWS:
        texts = table.frame[plain[name]] if name in plain else None
        if texts is not None and texts.dtype == pl.String and not texts.null_count() and texts.n_unique() == len(texts):
            return texts.to_list()
    return numbers


def _resolve(
    images: Sequence[Encoded | str | None], folder: Path, own: DatasetSettings, cache: Path, listing: Listing
) -> list[ImageRef | Unusable | None]:
    """The images with every text as the file or address that it means."""
    texts = [image if isinstance(image, str) else None for image in images]
    if not any(texts):
        return [None if isinstance(image, str) else image for image in images]
    if isinstance(own.source, str) and is_downloaded(folder, cache):
        texts = [text and beside(own.source, text) for text in texts]
    resolved = resolve_paths(texts, folder, allow_outside=own.allow_outside)
    doubts = [doubt for doubt in resolved.notes.doubts if "allow_outside" not in own.model_fields_set]
    listing.notes.extend(Notes(doubts, resolved.notes.remarks, resolved.notes.asides))
    addresses = {row: text for row, text in enumerate(resolved.images) if isinstance(text, str)}
    remote = dict(zip(addresses, list_remote(addresses.values(), cache / "images"), strict=True))
    found: list[ImageRef | Unusable | None] = []
    for row, (image, path) in enumerate(zip(images, resolved.images, strict=True)):
        if not isinstance(image, str):
            found.append(image)
        else:
            found.append(resolved.refused.get(row) or remote.get(row) or (None if isinstance(path, str) else path))
    return found


def _read_labels(frame: pl.DataFrame, columns: Columns, class_names: Names, listing: Listing) -> Sequence[str | None]:
    """The labels as text, those of a ClassLabel by their names."""
    if columns.one_hot:
        listing.class_names = columns.one_hot
        return name_ones(frame, columns.one_hot)
    if columns.label is None:
        return [None] * len(frame)
    names = class_names.get(columns.label)
    column = frame[columns.label]
    if column.dtype == pl.Binary:
        raise UserError(
            f"The column {columns.label!r} has type Binary, but labels are text or numbers: choose another "
            "label_column."
        )
    listing.class_names = names
    named = name_labels(column.fill_nan(None) if column.dtype.is_float() else column, names)
    return named.to_list()


def _texts(frame: pl.DataFrame, column: str | None) -> list[str | None]:
    """A column as stripped text; None where it is missing or empty."""
    if column is None:
        return [None] * len(frame)
    values = frame[column]
    if values.dtype.is_nested() or values.dtype == pl.Binary:
        raise UserError(f"The column {column!r} has type {values.dtype}, but text is needed: choose another one.")
    texts = values.cast(pl.String).str.strip_chars()
    return [text or None for text in texts]


def _own_columns(table: Table) -> list[str]:
    return [name for name in table.frame.columns if name not in (ROW, SPLIT)]


def rows_of(table: Table, rows: Sequence[int]) -> pl.DataFrame:
    """The rows of a table at these positions; a row of nulls where the position is -1."""
    positions = pl.Series([None if row < 0 else row for row in rows], dtype=pl.UInt32)
    return table.frame.select(pl.all().gather(positions))
