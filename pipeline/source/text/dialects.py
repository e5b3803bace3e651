"""How the lines of a text file become fields: its delimiter, quotes, and lines that come before the names."""

import csv
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from lake.errors import UserError

DELIMITERS = {"\t": "tabs", ";": "semicolons", "|": "vertical bars", ",": "commas"}
"""With names for people. If several divide every line alike, the first is meant: commas occur in text."""
SAMPLE_LINES, SAMPLE_CHARACTERS = 2_000, 2**22
IMAGE = re.compile(r"\.(jpe?g|png|gif|bmp|tiff?|webp|ppm|pgm|jp2|avif|heic|dcm|npy)(\s|$)", re.IGNORECASE)
DECLARED = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
MANY = 20
NONE = "\x1f"
"""The delimiter of a file with one column, which may hold all the others."""
LONGEST = 2**31 - 1
"""Characters in a field: the pixels of an image may be one."""

Row = list[str]


@dataclass(frozen=True)
class Dialect:
    """How to read the rows below `skipped` lines; `before` and `after` complete the names of the header."""

    delimiter: str
    skipped: int = 0
    quote: str = '"'
    blanks_before_quotes: bool = False
    marked: bool = False
    """Whether the header begins with a # that is no part of the first name."""
    before: int = 0
    """1 if the names lack that of the first column, as R writes row names."""
    after: int = 0
    """1 if every row but the header ends with a delimiter."""

    def options(self) -> dict[str, Any]:
        """The arguments of `csv.reader`."""
        return {"delimiter": self.delimiter, "quotechar": self.quote, "skipinitialspace": self.blanks_before_quotes}


def find_dialect(lines: Iterable[str], path: Path) -> Dialect:
    """The dialect, judged by the first lines: the delimiter is the one that divides all of them alike.

    Raises `UserError` if the first line holds no names.
    """
    csv.field_size_limit(LONGEST)
    sample = _take(lines) or [""]
    declared = DECLARED.fullmatch(sample[0].lstrip("\ufeff"))
    skipped = 1 if declared else 0
    skipped += next((i for i, line in enumerate(sample[skipped:]) if not line.startswith("#")), 0)
    comment, below = sample[skipped - 1 : skipped], sample[skipped:]
    if not any(line.strip() for line in below):
        raise UserError(f"The table {path} has no rows: it needs a line of column names and one line for each image.")
    delimiter = declared[1] if declared else _find_delimiter(below)
    dialect = _with_quotes(Dialect(delimiter, skipped), below)
    rows = _rows(below, dialect)
    why = _find_data(rows)
    marked = _rows(comment, dialect) if comment and comment[0].startswith("#") else []
    if marked and len(marked[0]) == len(rows[0]) > 1:
        if why is None:
            raise UserError(
                f"Line {skipped:,} of the table {path} begins with # but has as many fields as the next: "
                "remove it if it is a comment, or its # if it holds the names of the columns."
            )
        dialect, rows = replace(dialect, skipped=skipped - 1, marked=True), marked + rows
    elif why:
        raise UserError(_ask_for_names(path, rows[0], dialect, why))
    elif len(rows[0]) == 1:
        _refuse_title(rows, below, path)
    before, after = _further_columns(rows, path)
    return replace(dialect, before=before, after=after)


def _take(lines: Iterable[str]) -> list[str]:
    taken, characters = [], 0
    for line in islice(lines, SAMPLE_LINES):
        taken.append(line)
        characters += len(line)
        if characters > SAMPLE_CHARACTERS and len(taken) > 2:
            break
    return taken


def _rows(lines: list[str], dialect: Dialect) -> list[Row]:
    """Rows that are not blank; the last of many is left out, as the sample may end within it."""
    rows = [row for row in csv.reader(lines, **dialect.options()) if any(map(str.strip, row))]
    return rows[:-1] if len(rows) > MANY else rows


def _find_delimiter(lines: list[str]) -> str:
    """The delimiter that gives most rows the same number of fields; `NONE` if there is but one column."""
    best, found = 0.0, NONE
    for delimiter in DELIMITERS:
        rows = _rows(lines, Dialect(delimiter))
        widths = Counter(map(len, rows[1:] or rows))
        width, count = widths.most_common(1)[0]
        share = count / widths.total()
        if len(rows[0]) > 1 and width > 1 and share > best:
            best, found = share, delimiter
    return found


def _with_quotes(dialect: Dialect, lines: list[str]) -> Dialect:
    """The dialect with single quotes if all names have them, and with blanks before quotes if there are any."""
    names = [name.strip() for name in _rows(lines, dialect)[0]]
    if all(len(name) > 2 and name[0] == name[-1] == "'" for name in names):
        return replace(dialect, quote="'", blanks_before_quotes=True)
    blanks = any(field.startswith(' "') for row in _rows(lines, dialect) for field in row)
    return replace(dialect, blanks_before_quotes=blanks)


def _find_data(rows: list[Row]) -> str | None:
    """Why the first row must be data, as it names a file, for instance; None if it may be a header."""
    first = [field.strip() for field in rows[0]]
    if image := next((field for field in first if IMAGE.search(field) or "://" in field), None):
        return f"{image[:60]!r} is a file"
    numbers = [field for field in first if _is_number(field)]
    if not numbers or _counts(numbers):
        return None
    if len(numbers) == len(first):
        return "all its fields are numbers"
    for i, field in enumerate(first):
        if field and field not in numbers and any(len(row) > i and row[i].strip() == field for row in rows[1:]):
            return f"{field[:60]!r} is also a value below"
    return None


def _is_number(field: str) -> bool:
    try:
        float(field.replace(",", "."))
    except ValueError:
        return False
    return field.lower() not in ("nan", "inf", "infinity")


def _counts(numbers: list[str]) -> bool:
    """Whether numbers count columns, as the names that a matrix gets."""
    return len(numbers) > 1 and numbers in ([str(i + first) for i in range(len(numbers))] for first in (0, 1))


def _ask_for_names(path: Path, first: Row, dialect: Dialect, why: str) -> str:
    line = dialect.delimiter.join(first)[:60]
    names = ["image", "label", *(f"column{i}" for i in range(3, len(first) + 1))][: len(first)]
    example = dialect.delimiter.join(names if len(names) < MANY else [*names[:3], "..."]).replace("\t", "<tab>")
    how = f'add a line of names above it, such as "{example}"'
    if len(first) == 1 and len(first[0].split()) > 1:
        how = 'add the line "image,label" above it, and write a comma instead of the blank in every line'
    return f"The table {path} has no names of columns, as its first line is {line!r}, where {why}: {how}."


def _refuse_title(rows: list[Row], lines: list[str], path: Path) -> None:
    """Refuse a first line without delimiters above lines that have them, unless these are file names with commas."""
    if len(rows) < 3 or all(IMAGE.search(row[0]) for row in rows[1:]):
        return
    for delimiter, name in DELIMITERS.items():
        widths = Counter(len(row) for row in _rows(lines, Dialect(delimiter))[1:])
        width, count = widths.most_common(1)[0]
        if width > 1 and count == widths.total():
            raise UserError(
                f"The first line of the table {path} is {rows[0][0][:60]!r}, but the next ones have {width:,} fields "
                f"between {name}: remove every line above the names of the columns."
            )


def _further_columns(rows: list[Row], path: Path) -> tuple[int, int]:
    """How many names are missing at the front, and how many at the end. Raises `UserError` if it is not clear."""
    width, below = len(rows[0]), rows[1:]
    if not below:
        return 0, 0
    usual, count = Counter(map(len, below)).most_common(1)[0]
    if usual <= width or count < len(below) / 2:
        return 0, 0
    same = [row for row in below if len(row) == usual]
    if usual == width + 1 and all(not row[-1].strip() for row in same):
        return 0, 1
    if usual == width + 1 and len(same) > 1 and _counts([row[0].strip() for row in same]):
        return 1, 0
    raise UserError(
        f"The header of the table {path} has {width:,} names, but most lines have {usual:,} fields: complete them, or "
        "put fields that contain the delimiter in quotes."
    )
