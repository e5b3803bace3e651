"""Mean loss by two columns below the sample table; a click on a cell filters the table to its samples."""

from collections.abc import Mapping
from functools import partial

import polars as pl
import streamlit as st

from lake.query import pivots
from lake.query.filters import Clause, Filters
from lake.query.pivots import FEW, Axis
from lake.storage.store import Run
from pages.text.formatting import column_title, number, plain, pluralize
from pages.ui.core import data, filters
from pages.ui.core.chart_registry import show_chart
from pages.ui.samples.exports import show_download
from pages.ui.table import table_charts, table_session
from pages.ui.table.table_columns import axes_of

FIRST = ("label", "bg_lightness", "confidence", "predicted")
"""Candidates for the initial columns: the first two that the run has."""
BEFORE = "pivot-before"
"""The filters before a cell was clicked, and those of the click."""
SIDES = ("down", "across")
MAX_POSITIONS = 30


def show_pivot(run: Run, frame: pl.LazyFrame) -> None:
    """Show the switch, the two columns, and the cells as chart and as table."""
    st.session_state["pivot-on"] = table_session.current().pivot is not None
    st.toggle("Loss by two columns", key="pivot-on", on_change=_switch, args=(run,))
    if table_session.current().pivot is None:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        axes = _choose_axes(run)
        _show_way_back()
    pivot = pivots.pivot(frame, *axes).collect()
    if pivot.is_empty():
        st.info("No labelled held-out sample passes the filters: loosen them in the sidebar.")
        return
    cells = name_cells(pivot, axes)
    few = int(cells["few"].sum())
    st.markdown(_answer(cells, axes, few))
    largest = keep_largest(cells)
    _show_chart(largest, axes, pivot)
    if len(largest) < len(cells):
        st.caption(f"The {MAX_POSITIONS} values with the most samples on each side; the table has all.")
    with st.expander("The same as a table"):
        _show_table(cells, axes)


def name_cells(pivot: pl.DataFrame, axes: tuple[Axis, Axis]) -> pl.DataFrame:
    """Return rows of `lake.query.pivots.pivot` with described positions, their order, `interval`, `few` and `cell`."""
    cells = pivot.with_row_index("cell")
    for side, axis in zip(SIDES, axes, strict=True):
        keys = pivot[side].unique().sort(nulls_last=True).to_list()
        position = {key: i for i, key in enumerate(keys)}
        positions = [position[key] for key in pivot[side]]
        cells = cells.with_columns(
            pl.Series(side, [axis.text(key) for key in pivot[side]]), pl.Series(f"{side}_place", positions)
        )
    intervals = [_interval(low, high) for low, high in pivot.select("low", "high").iter_rows()]
    return cells.with_columns(pl.Series("interval", intervals, dtype=pl.String), few=pl.col("n") < FEW)


def keep_largest(cells: pl.DataFrame) -> pl.DataFrame:
    """Return the cells of the positions with the most samples, as many as a chart can hold."""
    for side in SIDES:
        sizes = cells.group_by(side).agg(pl.col("n").sum()).sort("n", side, descending=[True, False])
        cells = cells.filter(pl.col(side).is_in(sizes[side].head(MAX_POSITIONS).implode()))
    return cells


def _interval(low: float | None, high: float | None) -> str:
    return f"fewer than {FEW} samples" if low is None or high is None else f"{number(low)} to {number(high)}"


def _answer(cells: pl.DataFrame, axes: tuple[Axis, Axis], few: int) -> str:
    reliable = cells.filter(~pl.col("few")).sort("mean_loss", descending=True)
    verb = "is" if few == 1 else "are"
    grey = f" {pluralize(few, 'cell')} {verb} grey: fewer than {FEW} samples, too few to be read." if few else ""
    if reliable.is_empty():
        return f"No cell has {FEW} samples: too few to be read."
    top = reliable.row(0, named=True)
    sides = ", ".join(
        f"{column_title(axis.column).lower()} {plain(top[side])}" for side, axis in zip(SIDES, axes, strict=True)
    )
    return (
        f"Highest mean loss of held-out samples: **{number(top['mean_loss'])} nats** ({top['interval']}; "
        f"n {top['n']:,}) at {sides}.{grey}"
    )


def _choose_axes(run: Run) -> tuple[Axis, Axis]:
    pivot = table_session.current().pivot
    assert pivot is not None, "the caller asked"
    for side, column in zip(SIDES, pivot, strict=True):
        st.session_state[f"pivot-{side}"] = column
        st.selectbox(
            side.capitalize(),
            axes_of(run),
            format_func=column_title,
            key=f"pivot-{side}",
            on_change=_take_axes,
            width=220,
        )
    return data.axis(run, pivot[0]), data.axis(run, pivot[1])


def _take_axes() -> None:
    """Apply the chosen columns; if the same is chosen for both sides, swap the two."""
    before = table_session.current().pivot
    assert before is not None, "the columns are shown only then"
    down, across = (st.session_state[f"pivot-{side}"] for side in SIDES)
    table_session.change(pivot=(before[1], before[0]) if down == across else (down, across))


def _switch(run: Run) -> None:
    axes = axes_of(run)
    down, across, *_ = (column for column in FIRST if column in axes)
    table_session.change(pivot=(down, across) if st.session_state["pivot-on"] else None)


def _show_chart(cells: pl.DataFrame, axes: tuple[Axis, Axis], pivot: pl.DataFrame) -> None:
    # cells of their own for each filter, or the one that was clicked would stay chosen among the next ones
    key = f"pivot-{axes[0].column}-{axes[1].column}-{filters.current().to_text()}"
    down, across = (column_title(axis.column) for axis in axes)
    show_chart(
        table_charts.pivot_cells(cells, down=down, across=across),
        on_select=partial(_take_cell, key, axes, pivot),
        key=key,
        alt=f"Mean held-out loss by {down.lower()} and {across.lower()}; the same numbers are in the table below",
    )
    st.caption(
        "Loss in nats; 95 % intervals by Hall's transformation for skewed values. A click on a cell filters the table "
        "above to its samples."
    )


def _take_cell(key: str, axes: tuple[Axis, Axis], pivot: pl.DataFrame) -> None:
    """Filter by the selected cell."""
    cells = st.session_state[key]["selection"].get("cell")
    if cells:
        before = filters.current().to_text()
        filters.narrow(cell_clauses(pivot.row(int(cells[-1]["cell"]), named=True), axes))
        st.session_state[BEFORE] = (before, filters.current().to_text())


def cell_clauses(row: Mapping[str, object], axes: tuple[Axis, Axis]) -> list[Clause]:
    """Return the conditions that select exactly the samples of a cell: its positions, labelled and held out."""
    clauses = [axis.clause(row[side]) for side, axis in zip(SIDES, axes, strict=True)]
    held_out = Clause(column="out_of_sample", op="is", values=("true",))
    labelled = [] if "label" in {axis.column for axis in axes} else [Clause(column="label", op="present")]
    return [*clauses, held_out, *labelled]


def _show_way_back() -> None:
    """Show a button that restores the filters before the click, unless they have changed since."""
    before, after = st.session_state.get(BEFORE, ("", ""))
    if before != after == filters.current().to_text():
        st.button(
            "Back to all cells",
            icon=":material/undo:",
            key="pivot-back",
            on_click=lambda: filters.change(Filters.from_text(before)),
        )


def _show_table(cells: pl.DataFrame, axes: tuple[Axis, Axis]) -> None:
    """Show the cells as a table with its CSV."""
    st.dataframe(
        cells.select(*SIDES, "n", "mean_loss", "interval"),
        hide_index=True,
        column_config={
            **{side: column_title(axis.column) for side, axis in zip(SIDES, axes, strict=True)},
            "n": st.column_config.NumberColumn("Samples", format="localized"),
            "mean_loss": st.column_config.NumberColumn("Mean loss (nats)", format="%.3f"),
            "interval": "95 % interval",
        },
    )
    names = {side: axis.column for side, axis in zip(SIDES, axes, strict=True)}
    file = cells.select(*SIDES, "n", "mean_loss", "low", "high").rename(names)
    show_download(file.lazy(), "csv", "These cells as CSV", name="losses")
