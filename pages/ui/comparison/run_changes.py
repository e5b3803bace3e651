"""Changes since another run: samples fixed and broken, findings new and gone."""

from typing import TypedDict

import polars as pl
import streamlit as st

from lake.query import queries
from lake.query.confusions import among, most_changed
from lake.query.filters import MAX_VALUES, Clause, Filters
from lake.storage.store import Run
from pages.charts import charts, scales
from pages.text import changes
from pages.text.changes import ComparedRun
from pages.text.formatting import plain
from pages.text.glossary import GLOSSARY
from pages.ui.core import data
from pages.ui.core.chart_registry import show_chart
from pages.ui.core.rows import pick_row
from pages.ui.groups.confusion_list import IN_THE_MATRIX
from pages.ui.samples.gallery import show_paged_gallery
from pages.ui.session.navigation import link

CHANGES = {"Fixed": "fixed", "Newly broken": "broken", "Still wrong": "wrong"}


def show_changes(run: Run) -> None:
    """Show what changed since the previous run, with a link to the comparison."""
    st.subheader("What changed since the last run")
    before = data.previous_run(run)
    first, *rest = changes.say_changes(_compared(run), None if before is None else _compared(before))
    st.markdown(first)
    for line in rest:
        st.caption(line)
    if before is not None:
        link("compare", "Compare the two runs", icon=":material/compare_arrows:", against=before.run_id)


def show_samples(run: Run, before: Run, pairs: pl.DataFrame, now: pl.LazyFrame) -> None:
    """Show the fixed, newly broken or still wrong samples, and the difference of the two confusion matrices."""
    name = st.segmented_control(
        "Samples", list(CHANGES), default="Fixed", required=True, key="changed", bind="query-params"
    )
    change = CHANGES[name or "Fixed"]
    members = pairs.filter(change=change).sort("loss", "sample_id", descending=[True, False])
    st.caption(
        f"{len(members):,} of {len(pairs):,} held-out samples of both runs, the highest loss of this run first.",
        help=GLOSSARY["held-out"],
    )
    if len(members):
        show_paged_gallery(run, members, key=f"changed-{name}")
        _link_to_samples(members)
    st.subheader("Which confusions grew and which shrank")
    cells = queries.confusion_difference(now, data.samples(before)).collect()
    classes, shown_classes = run.classes, ""
    if len(classes) > scales.MOST_VALUES:
        classes = most_changed(cells, IN_THE_MATRIX)
        shown_classes = f"The {len(classes)} classes whose confusions changed most. "
    show_chart(
        charts.confusion_matrix(among(cells, classes), classes, value="difference"),
        key="difference",
        alt="Confusion matrix of this run less that of the other",
    )
    st.caption(
        f"{shown_classes}Percentage points of the label more or fewer than in the other run: red is worse, blue is "
        "better. Point at a cell for its number of samples."
    )
    link("confusion", "Open the samples of a cell", icon=":material/grid_view:")


def _link_to_samples(members: pl.DataFrame) -> None:
    """Link to the same samples as a filter, as many as a URL holds."""
    ids = [str(sample_id) for sample_id in members["sample_id"].head(MAX_VALUES)]
    clause = Clause(column="sample_id", op="is", values=tuple(ids))
    subject = "these" if len(ids) == len(members) else f"the first {len(ids)}"
    text = Filters(clauses=(clause,)).to_text()
    link("samples", f"Open {subject} in the table", icon=":material/table_rows:", f=text)


class FindingChange(TypedDict):
    """The columns of `lake.comparison.runs.finding_changes` that identify a row and its samples."""

    change: str
    name: str
    filter: str


def show_findings(run: Run, before: Run) -> None:
    """Show the findings of only one of the runs as a table, with a link to the samples of the selected one."""
    finding_changes = changes.finding_changes(_compared(run), _compared(before))
    new, gone = (len(finding_changes.filter(change=change)) for change in ("new", "gone"))
    st.markdown(
        f"**{new:,} new and {gone:,} gone** of the confirmed findings that stand for themselves. A finding is the same "
        "if its filter is the same; groups are matched by their members."
    )
    if finding_changes.is_empty():
        return
    number = st.column_config.NumberColumn
    row = pick_row(
        finding_changes,
        finding_changes.select("change", "name", "n", "lift"),
        FindingChange,
        key="finding-changes",
        column_config={
            "change": st.column_config.TextColumn("Change", width="small"),
            "name": st.column_config.TextColumn("Finding", width="large"),
            "n": number("Samples", format="localized"),
            "lift": number("Lift", format="%.2f", help=GLOSSARY["lift"]),
        },
    )
    source = run if row["change"] == "new" else before
    link(
        "samples",
        f"Open the samples of: {plain(row['name'])}",
        icon=":material/table_rows:",
        f=row["filter"],
        run=source.run_id,
    )


def _compared(run: Run) -> ComparedRun:
    return ComparedRun(run.run_id, data.samples(run), data.table(run, "findings"))
