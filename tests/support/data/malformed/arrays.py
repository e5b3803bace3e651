"""Malformed arrays: `.npz` files and folders of IDX files."""

import gzip
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.data.malformed.parts import ROWS, TEXTS, Malformed, maybe_changed

NAMES = [
    "x_train",
    "y_train",
    "x_test",
    "y_test",
    "images",
    "labels",
    "X",
    "y",
    "arr_0",
    "arr_1",
    "names",
    "val_images",
]
TYPES: list[Any] = [np.uint8, np.uint8, np.uint8, np.int64, np.uint16, np.float32, np.float64, np.bool_, np.complex64]
TYPES += ["U3", "S3", "M8[s]", object, ">u2", [("a", "u1")]]
SHAPES = [(8, 8), (8, 8, 3), (3, 8, 8), (64,), (8, 8, 4), (1, 1), (0, 8), (8, 8, 1), (2, 2, 2, 2), (8, 8, 2), ()]


def write_npz(data: st.DataObject, root: Path) -> Malformed:
    """Arrays of any type and shape under names that mean something, perhaps with changed bytes."""
    rows = data.draw(st.sampled_from([0, 1, 9, ROWS]))
    arrays: dict[str, NDArray[Any]] = {}
    if data.draw(st.integers(0, 3)):
        arrays = {"images": np.arange(rows * 64).reshape(rows, 8, 8).astype(np.uint8), "labels": np.arange(rows) % 2}
    for _ in range(data.draw(st.integers(0, 3))):
        arrays[data.draw(st.sampled_from(NAMES))] = _draw_array(data, rows)
    buffer = io.BytesIO()
    save = np.savez if data.draw(st.booleans()) else np.savez_compressed
    save(buffer, **arrays)  # type: ignore[arg-type]
    source = root / "arrays.npz"
    source.write_bytes(maybe_changed(data, buffer.getvalue()))
    return Malformed(source)


def _draw_array(data: st.DataObject, rows: int) -> NDArray[Any]:
    if data.draw(st.integers(0, 3)) == 0:
        return np.array(data.draw(st.lists(TEXTS, max_size=4)), dtype=str)
    shape = (rows, *data.draw(st.sampled_from(SHAPES))) if data.draw(st.booleans()) else (rows,)
    high = data.draw(st.sampled_from([1, 2, 200, 300, 70_000]))
    values = np.random.default_rng(7).integers(-1 if high == 2 else 0, high, shape)
    dtype = data.draw(st.sampled_from(TYPES))
    array = np.zeros(shape, dtype) if isinstance(dtype, list) else values.astype(dtype)
    if array.dtype.kind == "f" and array.size and data.draw(st.booleans()):
        array.flat[0] = data.draw(st.sampled_from([np.nan, np.inf, -1, 1e300 if array.dtype.itemsize > 4 else 1e30]))
    return array


def write_idx(data: st.DataObject, root: Path) -> Malformed:
    """MNIST's files with other shapes, types and numbers of rows, perhaps with changed bytes."""
    source = root / "mnist"
    source.mkdir()
    rows = data.draw(st.sampled_from([0, 1, 9, ROWS]))
    for split in data.draw(st.sampled_from([["train"], ["train", "t10k"], ["t10k"], ["train", "extra"]])):
        labels = rows + data.draw(st.sampled_from([0, 0, 0, 1, -1]))
        _write(
            data,
            source / f"{split}-images-idx3-ubyte",
            (rows, *data.draw(st.sampled_from([(8, 8), (1, 1), (0, 8), (8,)]))),
        )
        if data.draw(st.integers(0, 5)):
            _write(data, source / f"{split}-labels-idx1-ubyte", (max(0, labels),))
    return Malformed(source)


def _write(data: st.DataObject, path: Path, shape: tuple[int, ...]) -> None:
    kind = data.draw(st.sampled_from([8, 8, 8, 8, 9, 13, 0]))
    header = struct.pack(f">BBBB{len(shape)}I", 0, 0, kind, len(shape), *shape)
    content = maybe_changed(data, header + bytes(i % 3 for i in range(int(np.prod(shape)))))
    if data.draw(st.booleans()):
        content, path = gzip.compress(content, 1), path.with_name(f"{path.name}.gz")
        content = content if data.draw(st.booleans()) else maybe_changed(data, content)
    path.write_bytes(content)
