"""Rows to take away: exactly those that pass, in the order on screen, as CSV or parquet."""

import io
from collections.abc import Callable

import polars as pl
import streamlit as st

COLUMNS = {"shown": "Shown columns", "all": "All columns"}
NAMES = {"csv": "CSV", "parquet": "Parquet"}
WRITERS: dict[str, Callable[[pl.DataFrame], bytes]] = {
    "csv": lambda frame: frame.write_csv().encode(),
    "parquet": lambda frame: to_parquet(frame),
}


def show_exports(rows: pl.LazyFrame, shown: list[str], *, n: int, name: str) -> None:
    """Downloads of the `n` rows; they are computed when somebody asks for them."""
    with st.container(horizontal=True, vertical_alignment="center"):
        which = st.segmented_control(
            "Columns of the files",
            list(COLUMNS),
            format_func=COLUMNS.get,
            default="shown",
            required=True,
            key="export-columns",
            label_visibility="collapsed",
            width="content",
        )
        chosen = rows.select(shown) if which == "shown" else rows
        for kind in NAMES:
            show_download(chosen, kind, f"{NAMES[kind]} ({n:,} rows)", name=name)


def show_download(rows: pl.LazyFrame, kind: str, label: str, *, name: str) -> None:
    """The button that writes rows as a file of a kind in `WRITERS`."""
    st.download_button(
        label,
        lambda: WRITERS[kind](rows.collect()),
        f"{name}.{kind}",
        key=f"{name}-{kind}",
        icon=":material/download:",
        on_click="ignore",
    )


def to_parquet(frame: pl.DataFrame) -> bytes:
    """The frame as the bytes of a parquet file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
