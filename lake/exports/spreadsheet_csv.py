"""CSV files for people, who open them in a spreadsheet: Excel shows every value as it is in the lake, and runs none.

Excel takes a file without a byte order mark for one in a local code page, runs text that begins like a formula, turns
text such as 007, 1E5 or MARCH1 into a number or a date, and keeps 15 digits of a number. What prevents this is part of
the file, so programs read parquet or the plain CSV of `lake.exports.rows_to_bytes`.
"""

import polars as pl

TEXTS = (pl.String, pl.Categorical, pl.Enum)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DIGITS_KEPT = 15
"""Digits of a number that Excel keeps; it sets all further ones to 0."""

FORMULA = "^[=+@\t\r\n\uff1d\uff0b\uff0d\uff20-]"
"""How text begins that a spreadsheet may run (OWASP, CSV injection), also in full-width characters."""

NUMBER = "^(0|[1-9][0-9]*)([.][0-9]*[1-9])?$"
"""Text that is the same as a number, if it has few digits."""

MONTH = (
    "(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?|nov(ember)?"
    "|dec(ember)?)"
)
CHANGED = (
    "(?i)^("
    "[0-9]+([.,][0-9]+)*(e[+-]?[0-9]+)?"
    "|[0-9]{1,4}[-/.: ][0-9]{1,2}([-/.: ][0-9]{1,4})?"
    f"|{MONTH}[-/. ]?[0-9]{{1,4}}"
    f"|[0-9]{{1,4}}[-/. ]?{MONTH}"
    "|true|false"
    ")$"
)
"""Text that Excel takes for a number, a date, a time or a logical value."""


def to_spreadsheet_csv(rows: pl.DataFrame) -> bytes:
    """Encode the rows as CSV in UTF-8 with byte order mark, a comma between values and a point in numbers.

    Text that a spreadsheet may run gets an apostrophe before it. Text that it would change, and integers of more than
    15 digits, are written as ="007", which it shows as 007. All other numbers are written as they are.
    """
    escaped = rows.select(_escape(name, rows[name]) for name in rows.columns)
    return BYTE_ORDER_MARK + escaped.write_csv().encode()


def count_formulas(rows: pl.DataFrame) -> int:
    """Count the texts that a spreadsheet may run if they are not escaped."""
    return sum(int(column.cast(pl.String).str.contains(FORMULA).sum()) for column in rows if column.dtype in TEXTS)


def _escape(name: str, values: pl.Series) -> pl.Expr:
    value = pl.col(name)
    if values.dtype.is_integer():
        digits = value.cast(pl.String)
        is_long = digits.str.strip_prefix("-").str.len_chars() > DIGITS_KEPT
        any_long = values.to_frame().select(is_long.any()).item()
        return pl.when(is_long).then(_verbatim(digits)).otherwise(digits).alias(name) if any_long else value
    if values.dtype not in TEXTS:
        return value
    text = value.cast(pl.String)
    is_number = text.str.contains(NUMBER) & (text.str.len_chars() <= DIGITS_KEPT)
    is_changed = text.str.contains(CHANGED) & ~is_number
    unchanged = pl.when(is_changed).then(_verbatim(text)).otherwise(text)
    return pl.when(text.str.contains(FORMULA)).then(pl.lit("'") + text).otherwise(unchanged).alias(name)


def _verbatim(text: pl.Expr) -> pl.Expr:
    """A formula whose value is the text."""
    return pl.lit('="') + text + pl.lit('"')
