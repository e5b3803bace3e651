"""Export of rows to file formats that other tools read."""

import io

import polars as pl

KINDS = ("csv", "parquet")


def to_bytes(rows: pl.DataFrame, kind: str) -> bytes:
    """Encode the rows as a file of one of `KINDS`."""
    buffer = io.BytesIO()
    if kind == "csv":
        rows.write_csv(buffer)
    else:
        rows.write_parquet(buffer)
    return buffer.getvalue()
