"""Columns of text as numbers, if every value is one beyond doubt: anything else stays text.

Ids must not lose digits, so that an integer that a float cannot hold is not made one, and 007 is text. Whether 1,234
is a decimal or one thousand is not guessed.
"""

import polars as pl

INTEGER = r"^[+-]?(0|[1-9][0-9]*)$"
EXPONENT = r"([eE][+-]?[0-9]{1,3})?"
POINT = rf"^[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+){EXPONENT}$"
COMMA = rf"^[+-]?((0|[1-9][0-9]*),[0-9]+|,[0-9]+){EXPONENT}$"
GROUPED = r"^[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}$"
"""May also be a number of thousands."""
NOT_FINITE = ["nan", "-nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"]
EXACT = 2**53
"""Below this, a float holds every integer."""
FEW = 50


def to_numbers(column: pl.Series, *, decimal_commas: bool = False) -> pl.Series | None:
    """A column of text as Int64, or else Float64; None if a value is not surely a number, or if all are empty.

    Empty values are null, and so are NaN and infinity, which make a column Float64. `decimal_commas` says that other
    columns of the table have decimal commas, so that 1.234 may be one thousand.
    """
    texts = column.str.strip_chars().replace("", None)
    if texts.null_count() == len(texts) or _convert(texts.drop_nulls().head(FEW), False) is None:
        return None
    return _convert(texts, decimal_commas)


def has_decimal_commas(column: pl.Series) -> bool:
    """Whether a column of text holds numbers with decimal commas, which no one could take for thousands."""
    return bool(column.str.contains(",", literal=True).any()) and to_numbers(column) is not None


def read_commas(column: pl.Series) -> pl.Series:
    """A column of numbers such as 0,25 or 39,5 % as Float64, their percent signs left out; others as they are.

    Pairs of digits such as 0,1 may be lists of two numbers and stay text.
    """
    if column.dtype != pl.String or not column.str.contains(r",\d\d|,\d+\s*%").any():
        return column
    numbers = to_numbers(column.str.strip_chars().str.strip_suffix("%"), decimal_commas=True)
    return column if numbers is None else numbers.cast(pl.Float64)


def _convert(texts: pl.Series, decimal_commas: bool) -> pl.Series | None:
    finite = texts.set(texts.str.to_lowercase().is_in(NOT_FINITE), None)
    if finite.null_count() == len(finite):
        return None
    whole = _all(finite.str.contains(INTEGER))
    if whole and finite.null_count() == texts.null_count():
        integers = finite.str.strip_prefix("+").cast(pl.Int64, strict=False)
        return integers if integers.null_count() == finite.null_count() else None
    return _to_floats(finite, decimal_commas)


def _to_floats(texts: pl.Series, decimal_commas: bool) -> pl.Series | None:
    is_integer = texts.str.contains(INTEGER)
    fractions = texts.filter(~is_integer)
    comma = bool(fractions.str.contains(",", literal=True).any())
    if not _all(fractions.str.contains(COMMA if comma else POINT)):
        return None
    if len(fractions.drop_nulls()) and (comma or decimal_commas) and _all(fractions.str.contains(GROUPED)):
        return None
    numbers = texts.str.strip_prefix("+").str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    if numbers.null_count() > texts.null_count() or not _all(numbers.is_finite()):
        return None
    return None if (numbers.filter(is_integer).abs() >= EXACT).any() else numbers


def _all(values: pl.Series) -> bool:
    return bool(values.drop_nulls().all())
