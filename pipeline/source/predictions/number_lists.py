"""Lists of numbers as people store them, as a matrix: list columns, lists written as text, and NumPy files.

A row whose list is missing or of another width than most is refused; what the numbers mean is judged elsewhere. N rows,
K numbers per row.
"""

import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.errors import UserError, first_line
from pipeline.pixels.decode import Unusable

ARRAY_FILES = (".npy", ".npz")
LOOKED_AT = 100
"""Number of values of a text column by which lists are recognised."""
CALL, KEYWORD, BRACKET = r"[A-Za-z_][\w.]*\(", r"\w+=\S+", r"[\[\](){}]"
"""What surrounds numbers written by Python: `tensor([0.1, 0.9], device='cpu')`, `[np.float32(0.1)]`."""
DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, RuntimeError, OverflowError, MemoryError, KeyError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, SyntaxError),
)
"""What NumPy and the packages below it raise on damaged files."""
DECIMAL_COMMAS = r"\d,\d+\s+[-+]?\d+,\d"


@dataclass(frozen=True)
class NumberLists:
    """A matrix of the most common width, whose gaps are NaN, and the rows without a list of that width."""

    numbers_NK: NDArray[np.floating]
    """float64 if the source is and `exact` was asked for, otherwise float32."""
    refused: dict[int, Unusable]


def holds_lists(column: pl.Series) -> bool:
    """Whether most values of a column are lists of numbers, or text that lists at least two numbers."""
    if isinstance(column.dtype, pl.List | pl.Array):
        return _inner_numbers(column) is not None
    if column.dtype != pl.String:
        return False
    lists = _parse(_filled(column).head(LOOKED_AT))
    plain = (lists.list.len() >= 2) & lists.list.eval(to_floats(pl.element()).is_not_null()).list.all()
    return 2 * int(plain.sum()) > len(lists)


def read_lists(column: pl.Series, kind: str, *, exact: bool = False) -> NumberLists:
    """The lists of a column for which `holds_lists` is true; `kind` names them in reasons: "prediction".

    Numbers too large for float32 are infinite, unless `exact`.
    """
    lists = _parse(column).cast(pl.List(pl.String)) if column.dtype == pl.String else _inner_numbers(column)
    assert lists is not None
    is_double = exact and lists.dtype == pl.List(pl.Float64)
    floats = _as_floats(lists, pl.Float64 if is_double else pl.Float32)
    length = floats.list.len()
    width = max(length.filter(length > 0).mode(), default=0)
    rows = np.flatnonzero((length == width).fill_null(value=False).to_numpy()) if width else np.zeros(0, np.int64)
    matrix = np.full((len(column), width), np.nan, np.float64 if is_double else np.float32)
    matrix[rows] = floats.gather(rows).explode().to_numpy().reshape(len(rows), width)
    wrong = np.setdiff1d(np.arange(len(column)), rows)
    return NumberLists(matrix, {int(row): _refuse(length[int(row)], width, kind) for row in wrong})


def to_floats(values: pl.Expr) -> pl.Expr:
    """Text as Float64, null where it is no number; a percent sign is left out."""
    return values.str.strip_chars().str.strip_suffix("%").str.strip_chars().cast(pl.Float64, strict=False)


def read_array(file: Path, rows: int, key: str | None = None) -> dict[str, NDArray[np.floating]]:
    """The arrays of numbers [N, K] of a .npy or .npz file that have a row for each row of the table, by name.

    An array [N] is one number per row. `key` is the name of one array of an .npz file; a .npy file has one, without a
    name. Raises `UserError` if the file cannot be read or no array fits.
    """
    try:
        arrays = _load_several(file, key) if file.suffix == ".npz" else {"": np.lib.format.open_memmap(file, "r")}
    except DAMAGE as error:
        raise UserError(f"The arrays {file} cannot be read ({first_line(error)}): check the file.") from None
    arrays = {name: array[:, None] if array.ndim == 1 else array for name, array in arrays.items()}
    fitting = {
        name: array
        for name, array in arrays.items()
        if array.ndim == 2 and len(array) == rows and array.dtype.kind in "fiub"
    }
    if not fitting:
        shapes = ", ".join(f"{name or 'one array'} {list(array.shape)}" for name, array in arrays.items())
        raise UserError(
            f"No array of {file} has a row of numbers for each of the {rows:,} rows of the table "
            f"({shapes or f'none is called {key!r}'}): it needs the same rows in the same order."
        )
    return fitting


def _load_several(file: Path, key: str | None) -> dict[str, NDArray[np.floating]]:
    """The arrays of a .npz file, or only the one called `key`."""
    with file.open("rb") as stream:  # which NumPy leaves open if it is damaged
        opened = np.load(stream, allow_pickle=False)
        if not isinstance(opened, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array, which is called .npy")
        return {name: opened[name] for name in opened if key in (None, name)}


def _inner_numbers(column: pl.Series) -> pl.Series | None:
    """A list column as a List of numbers or of text, a list of one list as that one; None if it is of another type."""
    lists = column.arr.to_list() if isinstance(column.dtype, pl.Array) else column
    assert isinstance(lists.dtype, pl.List)
    inner = lists.dtype.inner
    if isinstance(inner, pl.List | pl.Array):
        return _inner_numbers(lists.list.first()) if bool((lists.list.len() <= 1).all()) else None
    if inner == pl.String:
        numbers = _as_floats(lists.drop_nulls().head(LOOKED_AT), pl.Float64).explode()
        return lists if 2 * numbers.count() > len(numbers) else None
    return lists if isinstance(inner, pl.DataType) and (inner.is_numeric() or inner in (pl.Boolean, pl.Null)) else None


def _as_floats(lists: pl.Series, dtype: type[pl.DataType]) -> pl.Series:
    if lists.dtype == pl.List(pl.String):
        return lists.list.eval(to_floats(pl.element()).cast(dtype))
    return lists.cast(pl.List(dtype), strict=False)


def _filled(column: pl.Series) -> pl.Series:
    texts = column.drop_nulls()
    return texts.filter(texts.str.strip_chars() != "")


def _parse(column: pl.Series) -> pl.Series:
    """Text as lists of text, cut at commas and blanks, or at semicolons and blanks where commas are decimal."""
    plain = column.str.replace_all(CALL, "(").str.replace_all(KEYWORD, " ").str.replace_all(BRACKET, " ")
    sample = plain.drop_nulls().head(LOOKED_AT)
    points = bool(sample.str.contains(".", literal=True).any())
    if not points and bool((sample.str.contains(";") | sample.str.contains(DECIMAL_COMMAS)).any()):
        plain = plain.str.replace_all(",", ".", literal=True)
    spaced = plain.str.replace_all(r"[,;\s]+", " ").str.strip_chars()
    return spaced.set(spaced == "", None).str.split(" ")


def _refuse(length: int | None, width: int, kind: str) -> Unusable:
    if length is None:
        return Unusable(f"{kind} missing")
    return Unusable(f"unusable {kind}", f"{length:,} numbers, others have {width:,}")
