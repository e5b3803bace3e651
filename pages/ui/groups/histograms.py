"""A strip of small histograms above the sample table: samples that pass over all samples; dragging filters."""

import math

import polars as pl
import streamlit as st

from lake.query.filters import Clause
from lake.query.sample_columns import with_unit
from lake.storage.store import Run
from pages.text.formatting import column_title
from pages.ui.core import data, filters
from pages.ui.table import table_charts

WIDTH = 124


def show_histograms(run: Run, columns: tuple[str, ...]) -> None:
    """Show a histogram for each visible numeric column; nothing if there is none."""
    schema = data.samples(run).collect_schema()
    numeric = [column for column in columns if data.is_measure(run, column)]
    if not numeric:
        return
    histograms = data.column_histograms(run, filters.current(), numeric)
    with st.container(horizontal=True, gap="small", key="histograms"):
        for (column,), bins in histograms.group_by("column", maintain_order=True):
            with st.container(width=WIDTH, gap=None):
                _show_histogram(str(column), bins, whole=schema[str(column)].is_integer())
    st.caption(
        "Blue passes the filters, grey is every sample; height is the square root of the count. Drag over a range to "
        "filter by it."
    )


def _show_histogram(column: str, bins: pl.DataFrame, *, whole: bool) -> None:
    # a chart of its own for each filter, or the range that was dragged would stay drawn on the next one
    key = f"histogram-{column}-{filters.current().to_text()}"
    st.vega_lite_chart(
        spec=table_charts.histogram(bins, with_unit(column, column_title(column)), whole=whole),
        on_select=lambda: _take_range(column, key, whole=whole),
        key=key,
        alt=f"Histogram of {column_title(column).lower()}: {bins['n'].sum():,} of {bins['n_all'].sum():,} samples pass",
    )


def _take_range(column: str, key: str, *, whole: bool) -> None:
    """Filter by the dragged range, replacing an earlier one on the column; a range without integers leaves it."""
    ends = st.session_state[key]["selection"].get("range", {}).get("low")
    if not ends:
        return
    low, high = (math.ceil(min(ends)), math.floor(max(ends))) if whole else (min(ends), max(ends))
    if low < high or (whole and low == high):
        values = (str(low), str(high)) if whole else (f"{low:.4g}", f"{high:.4g}")
        filters.change(filters.current().with_clause(Clause(column=column, op="between", values=values)))
