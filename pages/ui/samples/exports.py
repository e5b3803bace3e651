"""Export of the rows that pass, in the order on screen, as CSV or parquet."""

import polars as pl
import streamlit as st

from lake.exports.rows_to_bytes import to_bytes

COLUMNS = {"shown": "Shown columns", "all": "All columns"}
NAMES = {"csv": "CSV", "parquet": "Parquet"}


def show_exports(rows: pl.LazyFrame, shown_columns: list[str], *, n: int, name: str) -> None:
    """Show downloads of the `n` rows; they are computed on demand."""
    with st.container(horizontal=True, vertical_alignment="center"):
        which = st.segmented_control(
            "Columns of the files",
            list(COLUMNS),
            format_func=COLUMNS.__getitem__,
            default="shown",
            required=True,
            key="export-columns",
            label_visibility="collapsed",
            width="content",
        )
        exported = rows.select(shown_columns) if which == "shown" else rows
        for kind in NAMES:
            show_download(exported, kind, f"{NAMES[kind]} ({n:,} rows)", name=name)


def show_download(rows: pl.LazyFrame, kind: str, label: str, *, name: str) -> None:
    """Show a button that downloads rows as a file of a kind."""
    st.download_button(
        label,
        lambda: to_bytes(rows.collect(), kind, for_spreadsheets=True),
        f"{name}.{kind}",
        key=f"{name}-{kind}",
        icon=":material/download:",
        on_click="ignore",
    )
