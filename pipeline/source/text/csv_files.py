"""Read delimited text as people have it: any delimiter, encoding, line end and compression, every value as text.

What was understood is said in a remark. A row with more fields than the header is left out and returned by its line, as
its values may stand in the wrong columns; a row with fewer is completed with nulls.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import polars as pl

from lake.errors import UserError
from pipeline.source.errors import EmptyTable
from pipeline.source.text.decimal_numbers import has_decimal_commas, to_numbers
from pipeline.source.text.dialects import DELIMITERS, NONE, Dialect, Row, find_dialect
from pipeline.source.text.encodings import find_encoding, is_compressed, line_of_damage, open_text, reading
from pipeline.source.text.regular_csv import read_regular

SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
CONVERSIONS = {
    ".xlsx": "save it as CSV UTF-8",
    ".xls": "save it as CSV UTF-8",
    ".ods": "save it as CSV UTF-8",
    ".json": "import polars; polars.read_json({source!r}).write_parquet({target!r})",
    ".jsonl": "import polars; polars.read_ndjson({source!r}).write_parquet({target!r})",
    ".ndjson": "import polars; polars.read_ndjson({source!r}).write_parquet({target!r})",
}
FIELDS_AT_ONCE = 100_000
UNNAMED = "Unnamed: "
"""Begins the name of a column that has none, as pandas writes it."""


@dataclass
class TextTable:
    """The rows of a text file, all columns as text, empty values as null."""

    frame: pl.DataFrame
    remark: str = ""
    """What was understood, such as "semicolons, decimal commas"; empty for plain UTF-8 with commas."""
    ragged: dict[int, str] = field(default_factory=dict)
    """For each line of the file, counted from 1, that has too many fields and is not in the frame: its content."""
    decimal_commas: bool = False
    """Whether a column has decimal commas; see `to_numbers`."""


@dataclass
class _Body:
    """The rows below the header."""

    frame: pl.DataFrame
    ragged: dict[int, str] = field(default_factory=dict)
    short: int = 0
    headers: int = 0
    """How often the header is repeated."""


def is_text_table(path: Path) -> bool:
    """Whether a file is delimited text, or a table in a format with a known conversion, by its name."""
    suffix = _suffix(path)
    return suffix in SUFFIXES or suffix in CONVERSIONS


def scan_text(path: Path) -> TextTable:
    """The table in a text file; its name decides nothing but whether it is another format.

    Raises `UserError` if the file is no text, its encoding is unclear, a value is not closed, there is no header, a
    name occurs twice, or there are no rows.
    """
    if conversion := CONVERSIONS.get(_suffix(path)):
        how = conversion.format(source=path.name, target=f"{path.name.split('.')[0]}.parquet")
        raise UserError(f"The table {path} is {_suffix(path)[1:].upper()}, which is not read; convert it first: {how}")
    encoding = find_encoding(path)
    with reading(path):
        try:
            with open_text(path, encoding.codec) as lines:
                dialect = find_dialect(lines, path)
            with open_text(path, encoding.codec) as lines:
                body = _read_rows(lines, dialect, path, is_plain=not encoding.remark and not is_compressed(path))
        except UnicodeError:
            line = line_of_damage(path, encoding.codec)
            raise UserError(
                f"Line {line:,} of the table {path} is not valid {encoding.remark or 'UTF-8'}: save it as CSV UTF-8."
            ) from None
    frame, numbered = _drop_unnamed(body.frame)
    decimal_commas = any(has_decimal_commas(column) for column in frame if _may_have_decimals(column))
    parts = [
        "" if dialect.delimiter in (",", NONE) else DELIMITERS.get(dialect.delimiter, dialect.delimiter),
        encoding.remark,
        "decimal commas" if decimal_commas else "",
        f"row numbers in {numbered} (left out)" if numbered else "",
        f"{_several(body.short, 'line')} with fewer fields than the header" if body.short else "",
        f"{_several(body.headers, 'repetition')} of the header (left out)" if body.headers else "",
    ]
    return TextTable(frame, ", ".join(part for part in parts if part), body.ragged, decimal_commas)


def _several(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return suffixes[-2] if len(suffixes) > 1 and suffixes[-1] in COMPRESSED else "".join(suffixes[-1:])


def _read_rows(lines: io.TextIOWrapper, dialect: Dialect, path: Path, *, is_plain: bool) -> _Body:
    """The rows below the header. Raises `UserError` if there are none, most are ragged, or a quote is not closed."""
    for _ in range(dialect.skipped):
        next(lines)
    rows = _numbered_rows(lines, dialect, path)
    _, header = next(rows)
    names = _names(header, dialect, path)
    body = _Body(pl.DataFrame(schema=dict.fromkeys(names, pl.String)))
    if is_plain and (frame := read_regular(path, dialect, header, names)) is not None:
        body.frame = _drop_headers(frame, header)
        body.headers = len(frame) - len(body.frame)
        return body
    frames = []
    while chunk := list(islice(rows, max(1, FIELDS_AT_ONCE // len(names)))):
        frames.append(_to_frame(_fit(chunk, header, len(names), body), names))
    body.frame = pl.concat([body.frame, *frames], rechunk=True)
    if len(body.ragged) > len(body.frame):
        line, text = next(iter(body.ragged.items()))
        raise UserError(
            f"The table {path} has {len(names):,} columns, but more fields in {len(body.ragged):,} lines, such as line "
            f"{line:,} ({text}): put fields that contain the delimiter in quotes."
        )
    if body.frame.is_empty():
        raise EmptyTable(f"The table {path} has a header but no rows: it needs one line for each image.")
    return body


def _drop_headers(frame: pl.DataFrame, header: Row) -> pl.DataFrame:
    """The table without repetitions of the header."""
    first = frame.to_series(0) == header[0]
    if not first.any():
        return frame
    values = zip(frame.columns, header, strict=False)
    return frame.filter(~pl.all_horizontal(pl.col(name).eq_missing(pl.lit(value or None)) for name, value in values))


def _numbered_rows(lines: Iterator[str], dialect: Dialect, path: Path) -> Iterator[tuple[int, Row]]:
    """The line at which it begins, counted from 1, and the fields of every row that is not blank."""
    reader = csv.reader(lines, strict=True, **dialect.options())
    start = dialect.skipped + 1
    try:
        for row in reader:
            if any(map(str.strip, row)):
                yield start, row
            start = dialect.skipped + reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"Line {start:,} of the table {path} has a quote that is not closed, or not doubled within a field "
            f"({error}): correct the quotes of this line."
        ) from None


def _names(header: Row, dialect: Dialect, path: Path) -> list[str]:
    """The names of the columns without blanks and quotes around them. Raises `UserError` if one occurs twice."""
    stripped = [name.strip("\ufeff \t\r\n\xa0") for name in header]
    if dialect.marked:
        stripped[0] = stripped[0].lstrip("# ")
    unquoted = [name[1:-1].strip() if len(name) > 1 and name[0] == name[-1] in "\"'" else name for name in stripped]
    padded = [""] * dialect.before + unquoted + [""] * dialect.after
    names = [name or f"{UNNAMED}{i}" for i, name in enumerate(padded)]
    if twice := next((name for i, name in enumerate(names) if name in names[:i]), None):
        raise UserError(f"The table {path} has two columns named {twice[:60]!r}: give each a name of its own.")
    return names


def _fit(rows: list[tuple[int, Row]], header: Row, width: int, body: _Body) -> list[Row]:
    """The rows as wide as the header; what is not is counted in `body`."""
    fitting = []
    for line, row in rows:
        if len(row) > width and not any(map(str.strip, row[width:])):
            row = row[:width]
        if len(row) > width:
            body.ragged[line] = f"{len(row):,} fields instead of {width:,}: {', '.join(row)[:80]}"
        elif row == header:
            body.headers += 1
        else:
            body.short += len(row) < len(header)
            fitting.append(row if len(row) == width else row + [""] * (width - len(row)))
    return fitting


def _to_frame(rows: list[Row], names: list[str]) -> pl.DataFrame:
    columns = zip(*rows, strict=True) if rows else [[] for _ in names]
    frame = pl.DataFrame([pl.Series(name, column, pl.String) for name, column in zip(names, columns, strict=True)])
    return frame.with_columns(pl.when(pl.all() != "").then(pl.all()))


def _drop_unnamed(frame: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """The table without unnamed columns that are empty or number the rows, and a name of the latter."""
    unnamed = [name for name in frame.columns if name.startswith(UNNAMED)]
    empty = [name for name in unnamed if frame[name].null_count() == len(frame)]
    numbered = [name for name in unnamed if name not in empty and _counts_rows(frame[name])]
    if len(empty) + len(numbered) == frame.width:
        return frame, ""
    position = f"column {frame.columns.index(numbered[0]) + 1}" if numbered else ""
    return frame.drop(*empty, *numbered), position


def _counts_rows(column: pl.Series) -> bool:
    numbers = to_numbers(column)
    if numbers is None or numbers.dtype != pl.Int64 or numbers[0] not in (0, 1):
        return False
    return bool((numbers - numbers[0] == pl.int_range(len(numbers), eager=True)).all())


def _may_have_decimals(column: pl.Series) -> bool:
    """Whether the first values may be numbers with decimal commas; a cheap test before all are read."""
    return bool(column.drop_nulls().head(1_000).str.contains(r"^\s*[+-]?[0-9]*,[0-9]").any())
