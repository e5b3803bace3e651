"""Changes of the loss between two runs by class or group, with interval and test, and the samples of a row."""

from typing import TypedDict

import polars as pl
import streamlit as st

from lake.comparison import runs as compare
from lake.query import joined_samples
from lake.storage.store import Run
from lake.text.formatting import between
from pages.charts import charts
from pages.text.formatting import plain
from pages.text.glossary import GLOSSARY
from pages.text.groups import METHOD_NAMES
from pages.ui.core import comparisons, data, filters
from pages.ui.core.chart_registry import show_chart
from pages.ui.core.rows import pick_row
from pages.ui.samples.gallery import show_paged_gallery
from pages.ui.session.navigation import link

CLASSES = "Classes"
CHART_WIDTH, TABLE_WIDTH = 320, 660
COLUMNS = {CLASSES: "label"} | {title: joined_samples.cluster_column(method) for method, title in METHOD_NAMES.items()}


class LossChange(TypedDict):
    """The columns of `lake.comparison.runs.loss_changes` that identify a row and its samples."""

    value: str
    filter: str


def show_loss_changes(run: Run, before: Run, pairs: pl.DataFrame) -> None:
    """Show the summary, a chart with intervals, the table, and the samples of the selected row."""
    empty = data.empty_columns(run)
    choices = [title for title, column in COLUMNS.items() if title == CLASSES or column not in empty]
    by = st.segmented_control("By", choices, default=CLASSES, required=True, key="loss-by", bind="query-params")
    column = COLUMNS[by or CLASSES]
    changes = comparisons.comparison(run, before, filters.current(), by=column)
    if changes.is_empty():
        st.info("No sample that passes the filters is in a group: loosen the filters, or choose another method.")
        return
    noun = "classes" if by == CLASSES else f"{by} groups of this run"
    escaped = changes.with_columns(pl.col("value").map_elements(plain, pl.String))
    st.markdown(compare.say_loss_changes(escaped, noun))
    title = "Class" if by == CLASSES else "Group"
    with st.container(horizontal=True, gap="small"):
        with st.container(width=CHART_WIDTH):
            chart = charts.changes(changes, title=title)
            show_chart(chart, key=f"changes-{column}", alt="Change of the loss by row")
            if len(changes) > charts.MOST_ROWS:
                st.caption(f"The {charts.MOST_ROWS} largest changes; the table has all {len(changes):,}.")
        with st.container(width=TABLE_WIDTH):
            row = _pick(changes, title, key=f"loss-table-{column}")
    st.subheader(f"{title} {plain(row['value'])}: the largest changes first")
    st.caption("Under each: by how many nats its loss rose (above 0) or fell.")
    members = pairs.filter(pl.col(column).cast(pl.String) == row["value"]).with_columns(
        nats=pl.col("loss") - pl.col("loss_before")
    )
    ordered = members.sort(pl.col("nats").abs(), "sample_id", descending=[True, False])
    show_paged_gallery(run, ordered, key="loss-gallery", caption="nats")
    link("samples", "Open these samples in the table", icon=":material/table_rows:", f=row["filter"])


def _pick(changes: pl.DataFrame, title: str, *, key: str) -> LossChange:
    number = st.column_config.NumberColumn
    ends = [between(low, high, "+.3f") for low, high in changes.select("low", "high").iter_rows()]
    measured = changes.with_columns(pl.Series("interval", ends))
    return pick_row(
        changes,
        measured.select("value", "n", "loss_before", "loss", "change", "interval", "adjusted_p", "fixed", "broken"),
        LossChange,
        key=key,
        column_config={
            "value": st.column_config.TextColumn(title, width=90),
            "n": number("Samples", format="localized"),
            "loss_before": number("Before", format="%.3f", help=GLOSSARY["loss"]),
            "loss": number("Now", format="%.3f"),
            "change": number("Change", format="%+.3f"),
            "interval": st.column_config.TextColumn("95 % interval", help=GLOSSARY["interval"]),
            "adjusted_p": number("Adjusted p", format="%.2g", help=GLOSSARY["adjusted p"]),
            "fixed": number("Fixed", format="localized"),
            "broken": number("Broken", format="localized"),
        },
    )
