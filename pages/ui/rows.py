"""A table of which the reader opens one row."""

from typing import Any

import polars as pl
import streamlit as st


def pick_row(
    frame: pl.DataFrame, shown: pl.DataFrame, *, key: str, column_config: dict[str, Any], height: int | str = "auto"
) -> dict[str, Any]:
    """The table `shown`, row by row that of `frame`; returns the row of `frame` the reader chose, else the first."""
    state = st.dataframe(
        shown,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=key,
        height=height,
        column_config=column_config,
    )
    rows = [row for row in state["selection"]["rows"] if row < len(frame)]
    return frame.row(rows[0] if rows else 0, named=True)
