"""Read a table that is kept in parquet or Arrow files, or as a Delta table: in one file or in shards with splits.

Nothing but schemas, ordered dictionaries and the offsets in Arrow files, which are checked, is read until the frame is
collected.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lake.errors import UserError, first_line
from lake.storage.door import open_table
from pipeline.source.columns.arrow_files import OpenedFile, agree_names, open_arrow, open_parquet
from pipeline.source.columns.class_labels import Names, read_class_names
from pipeline.source.columns.column_schemas import conform, unite
from pipeline.source.columns.shards import (
    Shard,
    base_of,
    column_kind,
    count_missing,
    find_shards,
    is_pattern,
    name_splits,
    walk,
)
from pipeline.source.notes import Notes

SPLIT, ROW = "__split__", "__row__"
IMAGES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jp2", ".ppm", ".pgm", ".heic"}
FEW = 100
"""Fewer images beside a table that holds images itself are illustrations."""
MANY = 10_000
"""As soon as a folder has so many images, and a hundredth as many tables, it is a folder of images."""
LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class ColumnTable:
    """A table that is not read yet."""

    frame: pl.LazyFrame
    """Its own columns; `__row__`, a name for each row such as row/17, or train/17 if the table has several series of
    shards; `__split__`, the split that the names of the shards mean, if they do and the table has no column split."""
    files: list[Path]
    folder: Path
    """What paths in its columns are relative to."""
    class_names: Names
    """The names of integer labels by column, in order."""
    notes: Notes = field(default_factory=Notes)


def is_column_source(source: Path) -> bool:
    """Whether the source is a parquet or Arrow file, a Delta table, or a pattern or folder of such files.

    A folder with more images than such files is none, unless the images are few and the files hold images themselves.
    """
    return judge_source(source)[0]


def judge_source(source: Path) -> tuple[bool, str]:
    """Whether the source is a table of columns, see `is_column_source`, and why if that is not plain."""
    if is_pattern(source) or not source.is_dir():
        return column_kind(source) is not None or (is_pattern(source) and _matches_columns(source)), ""
    if (source / "_delta_log").is_dir():
        return True, ""
    tables, images = 0, 0
    first: Path | None = None
    for path in walk(source):
        if column_kind(path):
            tables, first = tables + 1, first or path
        images += path.suffix.lower() in IMAGES
        if images > MANY and images > 100 * tables:
            break
    if first is None or not images:
        return first is not None, ""
    if images <= tables or (images < FEW and _holds_images(first)):
        return True, f"{images:,} image files beside {tables:,} parquet or Arrow files are left aside."
    return False, (
        f"{source} is read as a folder of images, as it has more of them than parquet or Arrow files such as "
        f"{first.relative_to(source)}: set source to such a file to read that."
    )


def scan_columns(source: Path, splits: Mapping[str, str] | None = None) -> ColumnTable:
    """The table in a file, a folder of shards, the files that match a pattern, or a Delta table.

    `splits` is the setting of that name, for names of shards. Raises `UserError` if it does not exist, is damaged, or
    if its files do not belong to one table.
    """
    if (source / "_delta_log").is_dir():
        return _scan_delta(source)
    if not source.exists() and not is_pattern(source):
        raise UserError(f"The dataset {source} does not exist: check source in [dataset].")
    notes = Notes()
    shards = find_shards(source)
    opened = [_open(shard) for shard in shards]
    notes.remarks += count_missing(source, shards)
    schemas = [one.schema for one in opened]
    has_column = any(name.lower() == "split" for schema in schemas for name in schema)
    shard_splits = name_splits(shards, splits or {}, Notes() if has_column else notes)
    united = unite([shard.path for shard in shards], schemas, shard_splits, notes)
    frames = [conform(one.frame, one.schema, united) for one in opened]
    if any(shard_splits) and not has_column:
        pairs = zip(frames, shard_splits, strict=True)
        frames = [frame.with_columns(pl.lit(split, pl.String).alias(SPLIT)) for frame, split in pairs]
    class_names = read_class_names(
        united, _metadata(opened), _description_folders(shards), _agreed_dictionaries(opened)
    )
    fields = [_field(name) for name in class_names if name not in united]
    frame = _number_rows(shards, frames).with_columns(fields)
    return ColumnTable(frame, [shard.path for shard in shards], base_of(source), class_names, notes)


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Convert the errors raised by a damaged table, also while its frame is collected, into `UserError`."""
    try:
        yield
    except pl.exceptions.PanicException:
        raise UserError(
            f"The dataset {source} cannot be read, as its bytes are damaged: write the file again."
        ) from None
    except (OSError, DeltaError, pa.ArrowException, pl.exceptions.PolarsError, UnicodeError, KeyError) as error:
        raise UserError(f"The dataset {source} cannot be read ({first_line(error)}): check the file.") from None


def _scan_delta(source: Path) -> ColumnTable:
    with reading(source):
        table = open_table(str(source))
        _check_sizes(source, table)
        frame = pl.scan_delta(table)
        schema = frame.collect_schema()
    class_names = read_class_names(schema, {}, [source], {})
    numbered = _name_rows(frame.with_row_index(ROW), "row")
    return ColumnTable(
        numbered.with_columns(_field(name) for name in class_names if name not in schema), [source], source, class_names
    )


def _check_sizes(source: Path, table: DeltaTable) -> None:
    """Raises `UserError` if a file of a Delta table was cut or changed since it was written."""
    actions = pl.DataFrame(table.get_add_actions(flatten=True)).select("path", "size_bytes")
    for name, size in actions.iter_rows():
        path = next((path for path in (source / name, source / unquote(name)) if path.is_file()), None)
        if path and path.stat().st_size != size:
            raise UserError(
                f"The dataset {source} is damaged: its file {name} has {path.stat().st_size:,} bytes, but its log says "
                f"{size:,}: restore the file."
            )


def _matches_columns(pattern: Path) -> bool:
    try:
        return bool(find_shards(pattern))
    except UserError:
        return False


def _holds_images(file: Path) -> bool:
    """Whether a column of the file may hold images: binary, or structs or lists that do."""
    try:
        schema = _open(Shard(file)).schema
    except UserError:
        return False
    return any(_may_be_images(dtype) for dtype in schema.values())


def _may_be_images(dtype: Any) -> bool:
    if isinstance(dtype, pl.Struct):
        return any(_may_be_images(part.dtype) for part in dtype.fields)
    if isinstance(dtype, pl.List | pl.Array):
        return dtype.inner == pl.UInt8 or _may_be_images(dtype.inner)
    return dtype == pl.Binary or (isinstance(dtype, pl.BaseExtension) and _may_be_images(dtype.ext_storage()))


def _open(shard: Shard) -> OpenedFile:
    with reading(shard.path):
        with shard.path.open("rb") as file:
            start = file.read(len(LFS))
        if start == LFS:
            raise UserError(f"{shard.path} is only a pointer to a file of Git LFS: run git lfs pull in its folder.")
        opened = open_parquet(shard.path) if column_kind(shard.path) == "parquet" else open_arrow(shard.path, start)
    partition = {name: value for name, value in shard.partition.items() if name not in opened.schema}
    columns = {name: pl.lit(*_partition_value(value)) for name, value in partition.items()}
    frame = opened.frame.with_columns(**columns)
    return OpenedFile(frame, frame.collect_schema(), opened.metadata, opened.dictionaries)


def _partition_value(value: str | None) -> tuple[int | str | None, Any]:
    """The value in the name of a folder, and its type."""
    if value is None:
        return None, pl.Null
    whole = value.removeprefix("-")
    is_integer = whole.isascii() and whole.isdigit() and str(int(whole)) == whole and len(whole) < 19
    return (int(value), pl.Int64) if is_integer else (value, pl.String)


def _agreed_dictionaries(opened: list[OpenedFile]) -> Names:
    found: dict[str, list[list[str]]] = {}
    for one in opened:
        for name, values in one.dictionaries.items():
            found.setdefault(name, []).append(values)
    return agree_names(found)


def _metadata(opened: list[OpenedFile]) -> dict[str, str]:
    """The metadata of the first shard that describes features. Raises `UserError` if others name other classes."""
    described = [one.metadata for one in opened if "huggingface" in one.metadata]
    names = [read_class_names(one.schema, one.metadata, (), {}) for one in opened if "huggingface" in one.metadata]
    for other in names[1:]:
        for column in names[0].keys() & other.keys():
            if names[0][column] != other[column]:
                raise UserError(
                    f"The files of the table name the classes of {column!r} differently "
                    f"({json.dumps(names[0][column][:3])} and {json.dumps(other[column][:3])} ...): set source in "
                    "[dataset] to the files that belong together."
                )
    return described[0] if described else {}


def _description_folders(shards: list[Shard]) -> list[Path]:
    """The folders that may describe the table: those of the shards and two above them, nearest first."""
    levels = [[shard.path.absolute().parents[level : level + 1] for shard in shards] for level in range(3)]
    return list(dict.fromkeys(folder for level in levels for found in level for folder in found))


def _field(name: str) -> pl.Expr:
    """The field of a struct as a column of its own: `label.fine`."""
    first, *fields = name.split(".")
    column = pl.col(first)
    for part in fields:
        column = column.struct.field(part)
    return column.alias(name)


def _number_rows(shards: list[Shard], frames: list[pl.LazyFrame]) -> pl.LazyFrame:
    """All rows, numbered within each series of shards, so that names stay when another series grows."""
    by_series: dict[str, list[pl.LazyFrame]] = {}
    for shard, frame in zip(shards, frames, strict=True):
        by_series.setdefault(shard.series, []).append(frame)
    shared = _shared_folders(list(by_series))
    parts = [
        _name_rows(pl.concat(some).with_row_index(ROW), series[shared:] if len(by_series) > 1 else "row")
        for series, some in by_series.items()
    ]
    return pl.concat(parts)


def _shared_folders(series: list[str]) -> int:
    """The length of the folders that all have in common."""
    folders = [name.split("/")[:-1] for name in series]
    shared = 0
    for level in zip(*folders, strict=False):
        if len(set(level)) > 1:
            break
        shared += len(level[0]) + 1
    return shared


def _name_rows(frame: pl.LazyFrame, series: str) -> pl.LazyFrame:
    return frame.with_columns(pl.format("{}/{}", pl.lit(series or "row"), pl.col(ROW)).alias(ROW))
