"""List the images of a custom source: a folder of classes, a CSV, a parquet file or a Delta table.

A folder has one sub-folder per class, optionally inside folders named train, validation (val), test and unlabeled.
Images outside any class folder, and all images in `unlabeled`, have no label. Hidden files are skipped. A table has one
row per image: its bytes or a path relative to the file, its label and, optionally, split, name and metadata. If it has
predictions, images may be missing, and a labelled row without a split is a test sample.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from deltalake.exceptions import DeltaError

from lake.errors import UserError, first_line
from lake.storage.door import open_table
from pipeline.config.dataset import DatasetSettings, PredictionSettings
from pipeline.data.decode import Unusable

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "unlabeled": "unlabeled",
    "unlabelled": "unlabeled",
}
TEXTS = ("label_column", "split_column", "name_column")
OPTIONAL = ("split_column", "name_column")


@dataclass(frozen=True)
class ListedImage:
    """One image named by the source; `label` and `split` are None if the source does not specify them."""

    name: str
    image: bytes | Path | None
    """None if the source has only predictions."""
    label: str | None
    split: str | None
    row: int = -1
    """Row index into the columns of the listing."""


@dataclass
class Listing:
    """The content of a source: images, unusable entries by name, and metadata columns."""

    images: list[ListedImage] = field(default_factory=list)
    refused: list[tuple[str, Unusable]] = field(default_factory=list)
    columns: dict[str, pl.Series] = field(default_factory=dict)
    table: pl.DataFrame = field(default_factory=pl.DataFrame)
    """The prediction and embedding columns, if any."""


def is_table(dataset: DatasetSettings) -> bool:
    """Whether the source is a table, which lists every image, rather than a folder of files."""
    return not dataset.source.is_dir() or (dataset.source / "_delta_log").is_dir()


def list_images(dataset: DatasetSettings) -> Listing:
    """Everything in the source, sorted by file name or in row order; nothing is decoded.

    Raises `UserError` if it cannot be read or lacks a column.
    """
    return _list_table(dataset) if is_table(dataset) else _list_folder(dataset.source)


def list_paths(dataset: DatasetSettings) -> list[Path]:
    """The image files named by the source; empty if it holds the images itself.

    Raises `UserError` if it cannot be read.
    """
    source, column = dataset.source, dataset.image_column
    if not is_table(dataset):
        return [path for path, why in find_files(source) if why is None]
    with _reading(source):
        table = _scan_table(source)
        if table.collect_schema().get(column) != pl.String:
            return []
        return [source.parent / path for path in table.select(column).drop_nulls().collect()[column]]


def find_files(folder: Path) -> Iterator[tuple[Path, Unusable | None]]:
    """Every file below a folder except hidden ones, sorted, and each folder that is not entered, with the reason.

    A link to a folder is followed once, and not if it leads back into a folder that is read anyway.
    """
    yield from _walk(folder, [folder.resolve()])


def readable(name: str) -> str:
    """A name as text; bytes that are not valid UTF-8 are written as \\xff."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def column_name(column: str) -> str:
    """A column name that is valid in expressions and URLs: letters, digits and _."""
    words = "".join(c if f"_{c}".isidentifier() else " " for c in column).split()
    name = "_".join(words)
    return name if name.isidentifier() else f"_{name}"


def _walk(folder: Path, roots: list[Path]) -> Iterator[tuple[Path, Unusable | None]]:
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        yield folder, Unusable("unreadable folder", error.strerror or "")
        return
    for path in paths:
        if not _is_folder(path):
            yield path, None
        elif not path.is_symlink():
            yield from _walk(path, roots)
        else:
            real = path.resolve()
            if any(real.is_relative_to(root) or root.is_relative_to(real) for root in roots):
                yield path, Unusable("symbolic link loop", "it leads to a folder that is already read")
            else:
                roots.append(real)
                yield from _walk(path, roots)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _list_folder(folder: Path) -> Listing:
    listing = Listing()
    for path, why in find_files(folder):
        relative = path.relative_to(folder)
        name = readable(relative.as_posix())
        if why:
            listing.refused.append((name, why))
            continue
        parts = [readable(part) for part in relative.parts]
        split = SPLIT_NAMES.get(parts[0].lower()) if len(parts) > 1 else None
        below = parts[1:] if split else parts
        label = below[0] if len(below) > 1 and split != "unlabeled" else None
        listing.images.append(ListedImage(name, path, label, split if label else "unlabeled"))
    return listing


def _scan_table(source: Path) -> pl.LazyFrame:
    if source.is_dir():
        return pl.scan_delta(open_table(str(source)))
    if not source.exists():
        raise UserError(f"The dataset {source} does not exist: check source in [dataset].")
    match source.suffix.lower():
        case ".csv":
            return pl.scan_csv(source, infer_schema=False, glob=False)
        case ".parquet":
            return pl.scan_parquet(source, glob=False, hive_partitioning=False)
    raise UserError(f"The dataset {source} must be a folder, a .csv file, a .parquet file or a Delta table.")


@contextmanager
def _reading(source: Path) -> Iterator[None]:
    """Convert the errors raised by a damaged table into `UserError`."""
    try:
        yield
    except (OSError, DeltaError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise UserError(f"The dataset {source} cannot be read ({first_line(error)}): check the file.") from None


def _list_table(dataset: DatasetSettings) -> Listing:
    table = _read_columns(dataset)
    rows = [_texts(table, getattr(dataset, key)) for key in TEXTS]
    pictured = dataset.image_column in table.columns
    images, paths = _images(table[dataset.image_column], dataset) if pictured else ([None] * len(table),) * 2
    columns = {column_name(name): _metadata(table[name], dataset) for name in dataset.metadata}
    predictions = dataset.predictions
    listing = Listing(columns=columns, table=table.select(_columns_of(predictions, table.columns)))
    for row, (image, path, label, split, name) in enumerate(zip(images, paths, *rows, strict=True)):
        unique_name = name or path or f"row/{row}"
        default_split = "test" if predictions and label else None
        entry = _place(unique_name, image, label, split or default_split, row)
        if pictured and image is None and isinstance(entry, ListedImage):
            entry = Unusable("image missing")
        if isinstance(entry, ListedImage):
            listing.images.append(entry)
        else:
            listing.refused.append((unique_name, entry))
    return listing


def _read_columns(dataset: DatasetSettings) -> pl.DataFrame:
    """The columns of the table named in the settings. Raises `UserError` if one is missing."""
    named = {key: getattr(dataset, key) for key in ("image_column", *TEXTS)}
    predictions = dataset.predictions
    may_lack = (*OPTIONAL, "image_column") if predictions else OPTIONAL
    with _reading(dataset.source):
        scanned = _scan_table(dataset.source)
        columns = scanned.collect_schema().names()
        required = [name for key, name in named.items() if key not in may_lack or key in dataset.model_fields_set]
        if predictions:
            required.append(predictions.column)
            required += [predictions.embedding_column] if "embedding_column" in predictions.model_fields_set else []
        if absent := [name for name in (*required, *dataset.metadata) if name not in columns]:
            raise UserError(
                f"The dataset {dataset.source} has no column {absent[0]!r}: its columns are {', '.join(columns)}."
            )
        used = dict.fromkeys((*named.values(), *dataset.metadata, *_columns_of(predictions, columns)))
        return scanned.select(name for name in used if name in columns).collect()


def _columns_of(predictions: PredictionSettings | None, columns: list[str]) -> list[str]:
    """The prediction and embedding columns among `columns`."""
    if predictions is None:
        return []
    return [name for name in (predictions.column, predictions.embedding_column) if name in columns]


def _place(
    name: str, image: bytes | Path | None, label: str | None, split_name: str | None, row: int
) -> ListedImage | Unusable:
    split = SPLIT_NAMES.get(split_name.lower()) if split_name else None
    if split_name and split is None:
        return Unusable("unknown split", split_name[:80])
    if label is None and split in ("train", "validation", "test"):
        return Unusable("label missing", f"its split is {split}")
    unlabeled = label is None or split == "unlabeled"
    return ListedImage(name, image, None if unlabeled else label, "unlabeled" if unlabeled else split, row)


def _texts(table: pl.DataFrame, column: str) -> list[str | None]:
    """A column as stripped text; None where it is missing or empty."""
    if column not in table.columns:
        return [None] * len(table)
    try:
        texts = table[column].cast(pl.String).str.strip_chars()
    except pl.exceptions.PolarsError:
        raise UserError(f"The column {column!r} of the dataset has type {table[column].dtype}, not text.") from None
    return [text or None for text in texts]


def _images(column: pl.Series, dataset: DatasetSettings) -> tuple[list[bytes | Path | None], list[str | None]]:
    """The image of each row as bytes or path, and its path if the source has one."""
    if isinstance(column.dtype, pl.Struct) and {"bytes", "path"} <= {part.name for part in column.dtype.fields}:
        return column.struct.field("bytes").to_list(), column.struct.field("path").cast(pl.String).to_list()
    if column.dtype == pl.Binary:
        return column.to_list(), [None] * len(column)
    if column.dtype == pl.String:
        folder = dataset.source.parent
        return [folder / path if path else None for path in column], column.to_list()
    raise UserError(
        f"The column {column.name!r} of {dataset.source} has type {column.dtype}: images are encoded bytes or paths."
    )


def _metadata(column: pl.Series, dataset: DatasetSettings) -> pl.Series:
    """A metadata column: numbers as Float64 (in a CSV, if all values are numbers), everything else as text."""
    is_csv = dataset.source.suffix.lower() == ".csv"
    numbers = column.cast(pl.Float64, strict=False) if column.dtype.is_numeric() or is_csv else None
    if numbers is not None and numbers.null_count() == column.null_count() < len(column):
        return numbers.set(~numbers.is_finite(), None)
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        raise UserError(
            f"The column {column.name!r} of {dataset.source} has type {column.dtype}, but metadata is text or numbers."
        )
    return column.cast(pl.String)
