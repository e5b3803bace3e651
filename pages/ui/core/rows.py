"""A table with a selectable row."""

from typing import Any, Literal

import polars as pl
import streamlit as st

from lake.contracts.rows import Row, rows_of


def pick_row(
    frame: pl.DataFrame,
    table: pl.DataFrame,
    kind: type[Row],
    *,
    key: str,
    column_config: dict[str, Any],
    height: int | Literal["auto"] = "auto",
) -> Row:
    """Show `table`, which has the same rows as `frame`, of type `kind`.

    Returns the selected row of `frame`, by default the first.
    """
    state = st.dataframe(
        table,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=key,
        height=height,
        column_config=column_config,
    )
    rows = [row for row in state["selection"]["rows"] if row < len(frame)]
    return rows_of(frame[rows[0] if rows else 0], kind)[0]
