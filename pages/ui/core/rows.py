"""A table of which the reader opens one row."""

from typing import Any, Literal

import polars as pl
import streamlit as st

from lake.contracts.rows import Row, rows_of


def pick_row(
    frame: pl.DataFrame,
    shown: pl.DataFrame,
    kind: type[Row],
    *,
    key: str,
    column_config: dict[str, Any],
    height: int | Literal["auto"] = "auto",
) -> Row:
    """The table `shown`, row by row that of `frame`, whose rows are of a `kind`.

    Returns the row of `frame` that the reader chose, else the first.
    """
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
    return rows_of(frame[rows[0] if rows else 0], kind)[0]
