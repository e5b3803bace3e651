"""Numbers that are stored with the name of their class: structs, dictionaries as text, and lists of label and score."""

import ast
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.source.meaning.class_order import natural_order


def holds_named_numbers(column: pl.Series) -> bool:
    """Whether each value of a column names its numbers."""
    if isinstance(column.dtype, pl.Struct):
        return len(column.dtype.fields) > 1 and all(_is_number(field.dtype) for field in column.dtype.fields)
    if isinstance(column.dtype, pl.List):
        return _pair(column.dtype.inner) is not None
    if column.dtype != pl.String:
        return False
    first = next((text for text in column.drop_nulls().head(100) if text.strip()), "")
    return bool(_parse(first))


def read_named_numbers(column: pl.Series) -> tuple[list[str], NDArray[np.float32]]:
    """The names [K], and the numbers [N, K], NaN where a row lacks one.

    The names are in the order that all rows have; if rows differ, as those that are sorted by score, in natural order.
    """
    if isinstance(column.dtype, pl.Struct):
        frame = column.struct.unnest()
        return frame.columns, _to_matrix(frame)
    if isinstance(column.dtype, pl.List):
        return _read_pairs(column)
    rows = [_parse(text or "") for text in column]
    names = _order([tuple(row) for row in rows if row])
    matrix = np.full((len(rows), len(names)), np.nan, np.float32)
    position = {name: k for k, name in enumerate(names)}
    for i, row in enumerate(rows):
        matrix[i, [position[name] for name in row]] = list(row.values())
    return names, matrix


def _order(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """The names in the order of the rows if these agree, otherwise in natural order."""
    orders = list(dict.fromkeys(rows))
    return list(orders[0]) if len(orders) == 1 else natural_order({name for order in orders for name in order})


def _read_pairs(column: pl.Series) -> tuple[list[str], NDArray[np.float32]]:
    """Lists of structs of a class and its number."""
    assert isinstance(column.dtype, pl.List)
    name, number = _pair(column.dtype.inner) or ("", "")
    filled = np.flatnonzero((column.list.len() > 0).fill_null(value=False).to_numpy())
    flat = pl.DataFrame({"row": filled, "pair": column.gather(filled)}).explode("pair").unnest("pair").drop_nulls(name)
    names = _order(map(tuple, flat.group_by("row", maintain_order=True).agg(name)[name].to_list()))
    position = pl.DataFrame({name: names}, {name: pl.String}).with_row_index("position")
    place = flat.join(position, on=name, how="left", maintain_order="left")["position"].to_numpy()
    matrix = np.full((len(column), len(names)), np.nan, np.float32)
    matrix[flat["row"].to_numpy(), place] = flat[number].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    return names, matrix


def _to_matrix(frame: pl.DataFrame) -> NDArray[np.float32]:
    return frame.select(pl.all().cast(pl.Float32, strict=False).fill_null(float("nan"))).to_numpy()


def _is_number(dtype: Any) -> bool:
    return isinstance(dtype, pl.DataType) and dtype.is_numeric()


def _pair(inner: Any) -> tuple[str, str] | None:
    """The fields of a class and its number in a list of structs, such as label and score; None if there is no pair."""
    if not isinstance(inner, pl.Struct):
        return None
    texts = [field.name for field in inner.fields if field.dtype == pl.String]
    numbers = [field.name for field in inner.fields if _is_number(field.dtype)]
    return (texts[0], numbers[0]) if len(texts) == len(numbers) == 1 else None


def _parse(text: str) -> dict[str, float]:
    """The dictionary that a text writes as JSON or as Python does; empty if it writes none with numbers only."""
    text = text.strip()
    if not text.startswith(("{", "[{")):
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return {}
    if isinstance(value, list):
        value = _from_pairs(value)
    is_named = isinstance(value, dict) and all(isinstance(number, int | float) for number in value.values())
    return {str(name): float(number) for name, number in value.items()} if is_named else {}


def _from_pairs(pairs: list[Any]) -> dict[Any, Any]:
    """[{"label": "cat", "score": 0.9}, ...] as {"cat": 0.9, ...}."""
    named = {}
    for pair in pairs:
        values = list(pair.values()) if isinstance(pair, dict) else []
        texts = [value for value in values if isinstance(value, str)]
        numbers = [value for value in values if isinstance(value, int | float)]
        if len(texts) != 1 or len(numbers) != 1:
            return {}
        named[texts[0]] = numbers[0]
    return named
