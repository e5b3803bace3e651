"""Export of rows to file formats that other tools read."""

import io

import polars as pl

from lake.exports.spreadsheet_csv import to_spreadsheet_csv

KINDS = ("csv", "parquet")


def to_bytes(rows: pl.DataFrame, kind: str, *, for_spreadsheets: bool = False) -> bytes:
    """Encode the rows as a file of one of `KINDS`.

    By default every value is in the file as it is, for programs; CSV is in UTF-8 without byte order mark.
    `for_spreadsheets` is for people: a CSV file as `to_spreadsheet_csv` writes it, and the same parquet file.
    """
    if kind == "csv" and for_spreadsheets:
        return to_spreadsheet_csv(rows)
    buffer = io.BytesIO()
    if kind == "csv":
        rows.write_csv(buffer)
    else:
        rows.write_parquet(buffer)
    return buffer.getvalue()
