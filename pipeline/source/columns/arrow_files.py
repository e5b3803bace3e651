"""Open a parquet or Arrow file: its columns, metadata and ordered dictionaries are known before its rows are read.

The offsets in Arrow files are checked, as reading wrong ones would end the process.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.io.plugins import register_io_source

from lake.errors import UserError
from pipeline.source.columns.class_labels import Names

ARROW_FILE, FEATHER_1 = b"ARROW1", b"FEA1"


@dataclass(frozen=True)
class OpenedFile:
    """A shard: its rows, its schema, the metadata of the schema and the ordered dictionaries."""

    frame: pl.LazyFrame
    schema: pl.Schema
    metadata: dict[str, str]
    dictionaries: Names


def open_parquet(path: Path) -> OpenedFile:
    frame = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    schema = frame.collect_schema()
    dictionaries: Names = {}
    if any(dtype == pl.Categorical for dtype in schema.values()):
        with pq.ParquetFile(path) as file:
            ordered = _ordered(file.schema_arrow)
            groups = [file.read_row_group(i, columns=ordered) for i in range(file.num_row_groups)] if ordered else []
            dictionaries = _dictionaries([batch for group in groups for batch in group.to_batches()])
    return OpenedFile(frame, schema, pl.read_parquet_metadata(path), dictionaries)


def open_arrow(path: Path, start: bytes) -> OpenedFile:
    """A file in the IPC format, or a stream, as `datasets` saves it."""
    if start.startswith(FEATHER_1):
        raise UserError(f"{path} has version 1 of Feather: write it again with pandas' to_feather or to_parquet.")
    with pa.memory_map(str(path)) as memory:
        if is_file := start.startswith(ARROW_FILE):
            reader = pa.ipc.open_file(memory)
            schema, batches = reader.schema, (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            reader = pa.ipc.open_stream(memory)
            schema, batches = reader.schema, iter(reader)
        ordered = _ordered(schema)
        dictionaries = _dictionaries([_validated(batch).select(ordered) for batch in batches])
    columns = _schema(path, schema)
    frame = pl.scan_ipc(path) if is_file else register_io_source(partial(_read_stream, path), schema=columns)
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    return OpenedFile(frame, columns, metadata, dictionaries)


def _schema(path: Path, schema: pa.Schema) -> pl.Schema:
    """The schema of Arrow with the types of polars, which would name a column that has no name."""
    if twice := next((name for i, name in enumerate(schema.names) if name in schema.names[:i]), None):
        raise UserError(f"{path} has two columns named {twice!r}: give each a name of its own.")
    types = pl.DataFrame(schema.empty_table()).schema.values()
    return pl.Schema(zip(schema.names, types, strict=True))


def _validated(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch whose offsets lie in its buffers, as reading others would end the process; raises `ArrowInvalid`."""
    batch.validate(full=True)
    return batch


def _read_stream(
    path: Path, columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _batch_size: int | None
) -> Iterator[pl.DataFrame]:
    """The batches of a stream, of which the file is mapped into memory: columns that are not asked for cost nothing."""
    with pa.memory_map(str(path)) as memory:
        for batch in pa.ipc.open_stream(memory):
            if rows is not None and rows <= 0:
                return
            names = columns if columns is not None else batch.schema.names
            frame = pl.DataFrame(batch.select(names))
            frame.columns = names  # as one without a name gets one
            frame = frame.head(rows) if rows is not None else frame
            rows = rows - len(frame) if rows is not None else None
            yield frame.filter(predicate) if predicate is not None else frame


def _ordered(schema: pa.Schema) -> list[str]:
    """The dictionary columns whose order means something."""
    return [part.name for part in schema if pa.types.is_dictionary(part.type) and part.type.ordered]


def _dictionaries(batches: list[pa.RecordBatch]) -> Names:
    """The values of each dictionary column in order; see `agree_names`."""
    found: dict[str, list[list[str]]] = {}
    for batch in batches:
        for name in batch.schema.names:
            values = [str(value) for value in batch.column(name).dictionary.to_pylist()]
            found.setdefault(name, []).append(values)
    return agree_names(found)


def agree_names(found: dict[str, list[list[str]]]) -> Names:
    """The longest dictionary of each column, if all others begin like it: values may be added at the end."""
    longest = {name: max(several, key=len) for name, several in found.items()}
    return {
        name: values
        for name, values in longest.items()
        if values and all(values[: len(other)] == other for other in found[name])
    }
