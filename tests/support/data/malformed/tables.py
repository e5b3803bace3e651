"""Malformed tables: delimited text, parquet, Arrow and Delta with columns of any type, and tables of predictions."""

import csv
import datetime as dt
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from tests.support.data.malformed.parts import (
    PICTURE_BYTES,
    PLAIN,
    ROWS,
    TEXTS,
    Malformed,
    maybe_changed,
    tiled,
)

USUAL = ["image", "path", "filename", "label", "class", "split", "fold", "name", "id", "patient_id", "embedding"]
USUAL += ["probabilities", "logits", "pred"]
NAMES = [*USUAL, *USUAL, "prob_cat", "prob_dog", "cat", "dog", "pixels", "x", "Label", " label ", "", "a.b", "__row__"]
NAMES += ["__split__", "a" * 500, "é", "\n", "'", "{}", "*", "^x$", "label.fine"]
FLOATS = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 0.5, 100.0, math.nan, math.inf, -math.inf, 1e38, 1e300, 5e-324, -9999.0]),
    st.floats(width=32),
)
MADE: dict[str, tuple[st.SearchStrategy[Any], pl.DataType | None]] = {
    "texts": (TEXTS, pl.String()),
    "images": (PICTURE_BYTES, pl.Binary()),
    "whole numbers": (st.one_of(st.integers(-1, 3), st.integers(-(2**63), 2**63 - 1)), pl.Int64()),
    "large whole numbers": (st.integers(0, 2**64 - 1), pl.UInt64()),
    "floats": (FLOATS, pl.Float64()),
    "truth values": (st.booleans(), pl.Boolean()),
    "nothing": (st.none(), pl.Null()),
    "durations": (st.timedeltas(dt.timedelta(-9), dt.timedelta(9)), pl.Duration()),
    "dates": (st.dates(), pl.Date()),
    "decimals": (st.decimals(-99, 99, places=2, allow_nan=False, allow_infinity=False), pl.Decimal(9, 2)),
    "categories": (st.sampled_from(["cat", "dog", "", " "]), pl.Categorical()),
    "enumerated": (st.sampled_from(["cat", "dog"]), pl.Enum(["dog", "cat", "owl"])),
    "lists": (st.lists(st.one_of(FLOATS, st.none()), max_size=3), pl.List(pl.Float64())),
    "pairs": (st.lists(FLOATS, min_size=2, max_size=2), pl.Array(pl.Float32(), 2)),
    "lists of texts": (st.lists(TEXTS, max_size=3), pl.List(pl.String())),
    "lists of lists": (st.lists(st.lists(FLOATS, max_size=2), max_size=2), pl.List(pl.List(pl.Float32()))),
    "lists of images": (st.lists(PICTURE_BYTES, max_size=2), pl.List(pl.Binary())),
    "pixels": (st.lists(st.integers(0, 255), max_size=3), pl.List(pl.UInt8())),
    "image structs": (
        st.fixed_dictionaries({"bytes": st.one_of(st.none(), PICTURE_BYTES), "path": st.one_of(st.none(), TEXTS)}),
        pl.Struct({"bytes": pl.Binary(), "path": pl.String()}),
    ),
    "odd structs": (st.fixed_dictionaries({"bytes": st.integers(0, 9)}), pl.Struct({"bytes": pl.Int64()})),
    "structs of floats": (
        st.fixed_dictionaries({"cat": FLOATS, "dog": FLOATS}),
        pl.Struct({"cat": pl.Float64(), "dog": pl.Float64()}),
    ),
}


def draw_column(data: st.DataObject, rows: int, kind: str | None = None) -> pl.Series:
    """A column of a drawn type, with values that repeat and some that are missing."""
    values, dtype = MADE[kind or data.draw(st.sampled_from(sorted(MADE)))]
    drawn = data.draw(st.lists(st.one_of(values, st.none()), min_size=1, max_size=6))
    return pl.Series("", tiled(drawn, rows), dtype, strict=False)


def draw_columns(data: st.DataObject, rows: int) -> tuple[list[str], list[pl.Series]]:
    """Names and columns; an image and a label are mostly among them."""
    usual: list[tuple[str, Callable[[], pl.Series]]] = [
        ("image", lambda: pl.Series(tiled([*PLAIN, data.draw(PICTURE_BYTES)], rows), dtype=pl.Binary)),
        ("label", lambda: pl.Series(tiled(["cat", "dog", data.draw(TEXTS)], rows))),
    ]
    made = [(name, make()) for name, make in usual if data.draw(st.integers(0, 3))]
    made += [(data.draw(st.sampled_from(NAMES)), draw_column(data, rows)) for _ in range(data.draw(st.integers(0, 4)))]
    if not made or data.draw(st.integers(0, 9)):
        made = list(dict(made).items())
    return [name for name, _ in made], [column for _, column in made]


def draw_settings(data: st.DataObject, names: list[str]) -> dict[str, Any]:
    """Settings that mostly leave everything to be found, or name a column for any purpose."""
    settings: dict[str, Any] = {}
    for key in ("image_column", "label_column", "split_column", "name_column", "group_column"):
        if names and data.draw(st.integers(0, 9)) == 0 and (name := data.draw(st.sampled_from(names))):
            settings[key] = name
    if names and data.draw(st.integers(0, 4)) == 0:
        settings["metadata"] = [data.draw(st.sampled_from(names))]
    if data.draw(st.integers(0, 4)) == 0:
        settings["predictions"] = {}
    if data.draw(st.integers(0, 9)) == 0:
        settings["allow_outside"] = True
    return settings


def write_parquet_or_arrow(data: st.DataObject, root: Path) -> Malformed:
    """A file of columns of any type, perhaps with two of one name, perhaps with changed bytes."""
    rows = data.draw(st.sampled_from([0, 1, 7, ROWS, ROWS]))
    names, columns = draw_columns(data, rows)
    table = pa.Table.from_arrays([column.to_arrow() for column in columns], names)
    suffix = data.draw(st.sampled_from([".parquet", ".arrow", ".feather", " stream.arrow"]))
    buffer = io.BytesIO()
    try:
        if suffix == ".parquet":
            pq.write_table(table, buffer)
        else:
            opened = pa.ipc.new_stream if "stream" in suffix else pa.ipc.new_file
            with opened(buffer, table.schema) as writer:
                writer.write_table(table)
    except pa.ArrowException:  # a type that the format lacks
        return write_csv(data, root)
    valid, source = buffer.getvalue(), root / f"table{suffix}"
    source.write_bytes(maybe_changed(data, valid))
    entries = rows if names and source.read_bytes() == valid else None
    return Malformed(source, draw_settings(data, names), entries)


def write_delta(data: st.DataObject, root: Path) -> Malformed:
    """A Delta table of which a file may be changed, or missing."""
    rows = data.draw(st.sampled_from([1, 7, ROWS]))
    kinds = ["texts", "whole numbers", "floats", "dates", "lists", "decimals", "image structs", "truth values"]
    columns = {data.draw(st.sampled_from(USUAL)): draw_column(data, rows, data.draw(st.sampled_from(kinds)))}
    frame = pl.DataFrame({"image": tiled(PLAIN, rows), "label": tiled(["cat", "dog"], rows)} | columns)
    source = root / "table"
    deltalake.write_deltalake(str(source), frame.to_arrow())
    files = sorted(path for path in source.rglob("*") if path.is_file())
    broken = data.draw(st.sampled_from([None, *files]))
    if broken and data.draw(st.integers(0, 4)) == 0:
        broken.unlink()
    elif broken:
        broken.write_bytes(maybe_changed(data, broken.read_bytes()))
    return Malformed(source, draw_settings(data, frame.columns), None if broken else rows)


def write_csv(data: st.DataObject, root: Path) -> Malformed:
    """Text of any delimiter and encoding, with odd values in every column, perhaps with changed bytes."""
    for i, picture in enumerate(PLAIN):
        (root / f"{i}.png").write_bytes(picture)
    rows = data.draw(st.sampled_from([0, 1, 7, ROWS, ROWS]))
    columns: dict[str, list[str]] = {
        "image": [f"{i % 10}.png" for i in range(rows)],
        "label": tiled(["cat", "dog"], rows),
    }
    for _ in range(data.draw(st.integers(0, 3))):
        columns[data.draw(st.sampled_from(NAMES))] = tiled(data.draw(st.lists(TEXTS, min_size=1, max_size=6)), rows)
    if data.draw(st.integers(0, 3)) == 0:
        columns["pixels"] = tiled([" ".join(["7", "0", "255", "9"] * 16), data.draw(TEXTS)], rows)
    if data.draw(st.booleans()):
        columns["image"] = tiled([*columns["image"][:10], *data.draw(st.lists(TEXTS, min_size=1, max_size=4))], rows)
    text = io.StringIO()
    delimiter = data.draw(st.sampled_from([",", ",", ";", "\t", "|"]))
    writer = csv.writer(text, delimiter=delimiter, lineterminator=data.draw(st.sampled_from(["\n", "\r\n", "\r"])))
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    encoding = data.draw(st.sampled_from(["utf-8"] * 4 + ["utf-8-sig", "utf-16", "cp1252", "latin-1", "utf-32"]))
    written = text.getvalue().encode(encoding, "replace")
    source = root / data.draw(st.sampled_from(["table.csv", "table.tsv", "table.txt", "table.csv.gz"]))
    source.write_bytes(maybe_changed(data, written) if data.draw(st.booleans()) else _marred(data, written))
    return Malformed(source, draw_settings(data, list(columns)))


def _marred(data: st.DataObject, written: bytes) -> bytes:
    """Text with what people and tools leave in it, at any place."""
    odd = [
        b'"',
        b'""',
        b",,",
        b";;",
        b"\x00",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xe9",
        b"\xc3\xa9",
        b"\r",
        b"\n\n",
        b"\x1a",
    ]
    odd += [b"a" * 200_000, b'"' + b"\n" * 50, b"#", b"sep=;\n", b"," * 3_000, "\u2028".encode(), b"\x1f", b"\x0c"]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(written)))
        written = written[:at] + data.draw(st.sampled_from(odd)) + written[at:]
    return written


def write_predictions(data: st.DataObject, root: Path) -> Malformed:
    """Rows with numbers of any kind for each class, and perhaps embeddings, in the table or in files of their own."""
    rows = data.draw(st.sampled_from([0, 1, 2, 7, ROWS, ROWS]))
    frame = pl.DataFrame({"id": [f"row {i}" for i in range(rows)], "label": tiled(["cat", "dog"], rows)})
    numbers = draw_numbers(data, rows)
    settings: dict[str, Any] = {"predictions": {}}
    where = data.draw(st.sampled_from(["lists", "text", "wide", "any", "npz", "npy", "table"]))
    if where == "lists":
        frame = frame.with_columns(probabilities=pl.Series(numbers, dtype=pl.List(pl.Float64), strict=False))
    elif where == "text":
        frame = frame.with_columns(probabilities=pl.Series([str(row) for row in numbers], dtype=pl.String))
    elif where == "wide":
        wide = {f"prob_{name}": draw_column(data, rows, kind) for name, kind in _kinds(data)}
        frame = frame.with_columns(**wide)
    elif where == "any":
        frame = frame.with_columns(probabilities=draw_column(data, rows))
    elif where == "table":
        other = frame.select("id", probabilities=pl.Series(numbers, dtype=pl.List(pl.Float64), strict=False))
        other.sample(fraction=1, shuffle=True, seed=0).write_parquet(root / "other.parquet")
        settings["predictions"]["table"] = root / "other.parquet"
    else:
        settings["predictions"]["table"] = _write_array(data, root / f"p.{where}", rows)
    if data.draw(st.booleans()):
        frame = frame.with_columns(embedding=draw_column(data, rows, data.draw(st.sampled_from(sorted(MADE)))))
    if data.draw(st.integers(0, 3)) == 0:
        settings["predictions"]["embedding_table"] = _write_array(data, root / "e.npy", rows)
    if data.draw(st.booleans()):
        frame = frame.with_columns(
            label=draw_column(data, rows, data.draw(st.sampled_from(["texts", "whole numbers", "nothing"])))
        )
    settings["predictions"] |= data.draw(
        st.sampled_from(
            [{}, {}, {"logits": True}, {"normalize": True}, {"positive": "cat"}, {"classes": ["cat", "dog"]}]
        )
    )
    frame.write_parquet(root / "rows.parquet")
    return Malformed(root / "rows.parquet", settings, rows)


def draw_numbers(data: st.DataObject, rows: int) -> list[Any]:
    """Rows of numbers that are mostly probabilities of two classes."""
    shares = st.floats(0, 1).map(lambda p: [p, 1 - p])
    odd = st.one_of(st.lists(st.one_of(FLOATS, st.none()), max_size=4), st.none())
    drawn = data.draw(st.lists(shares, min_size=1, max_size=4)) if data.draw(st.integers(0, 3)) else []
    return tiled([*drawn, *data.draw(st.lists(odd, min_size=1, max_size=3))], rows)


def _kinds(data: st.DataObject) -> list[tuple[str, str]]:
    kinds = ["floats", "floats", "texts", "truth values", "whole numbers", "nothing", "decimals"]
    return [(name, data.draw(st.sampled_from(kinds))) for name in ("cat", "dog", "owl")[: data.draw(st.integers(1, 3))]]


def _write_array(data: st.DataObject, path: Path, rows: int) -> Path:
    width = data.draw(st.sampled_from([0, 1, 2, 3, 70_000]))
    dtype: Any = data.draw(st.sampled_from([np.float64, np.float16, np.int8, np.bool_, np.complex64, "U3", object]))
    values = np.full(
        (max(0, rows + data.draw(st.sampled_from([0, 0, 0, -1, 1]))), min(width, 7_000_000 // (rows + 1))), 1
    )
    array = data.draw(st.sampled_from([values, values[..., None], values.ravel(), values[:1, :1]])).astype(dtype)
    buffer = io.BytesIO()
    if path.suffix == ".npz":
        np.savez(buffer, probabilities=array)
    else:
        np.save(buffer, array)
    path.write_bytes(maybe_changed(data, buffer.getvalue()))
    return path
