"""Mean loss by two columns under the analyst's table; a click on a cell filters the table to its samples."""

from collections.abc import Mapping
from functools import partial

import polars as pl
import streamlit as st

from lake.query import pivots
from lake.query.filters import Clause, Filters
from lake.query.pivots import FEW, Axis
from lake.storage.store import Run
from pages.text.words import counted, name, number, plain
from pages.ui.core import data, filters
from pages.ui.core.chart_registry import show_chart
from pages.ui.samples.exports import show_download
from pages.ui.table import table_charts, table_session
from pages.ui.table.table_columns import axes_of

FIRST = ("label", "bg_lightness", "confidence", "predicted")
"""Columns to begin with: the two of them that the run has and that stand first."""
BEFORE = "pivot-before"
"""The filters before a cell was clicked, and those of the click."""
SIDES = ("down", "across")
MOST_PLACES = 30


def show_pivot(run: Run, frame: pl.LazyFrame) -> None:
    """The switch, the two columns, and the cells as chart and as table."""
    st.session_state["pivot-on"] = table_session.current().pivot is not None
    st.toggle("Loss by two columns", key="pivot-on", on_change=_switch, args=(run,))
    if table_session.current().pivot is None:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        axes = _choose_axes(run)
        _show_way_back()
    found = pivots.pivot(frame, *axes).collect()
    if found.is_empty():
        st.info("No labelled held-out sample passes the filters: loosen them in the sidebar.")
        return
    cells = name_cells(found, axes)
    few = int(cells["few"].sum())
    st.markdown(_answer(cells, axes, few))
    drawn = keep_largest(cells)
    _show_chart(drawn, axes, found)
    if len(drawn) < len(cells):
        st.caption(f"The {MOST_PLACES} values with the most samples on each side; the table has all.")
    with st.expander("The same as a table"):
        _show_table(cells, axes)


def name_cells(found: pl.DataFrame, axes: tuple[Axis, Axis]) -> pl.DataFrame:
    """The rows of `lake.query.pivots.pivot` with their places in words and in order, `interval`, `few` and a number."""
    cells = found.with_row_index("cell")
    for side, axis in zip(SIDES, axes, strict=True):
        keys = found[side].unique().sort(nulls_last=True).to_list()
        place = {key: i for i, key in enumerate(keys)}
        places = [place[key] for key in found[side]]
        cells = cells.with_columns(
            pl.Series(side, [axis.text(key) for key in found[side]]), pl.Series(f"{side}_place", places)
        )
    intervals = [_interval(low, high) for low, high in found.select("low", "high").iter_rows()]
    return cells.with_columns(pl.Series("interval", intervals, dtype=pl.String), few=pl.col("n") < FEW)


def keep_largest(cells: pl.DataFrame) -> pl.DataFrame:
    """The cells of the places with the most samples where a side has more than a chart can hold."""
    for side in SIDES:
        counted = cells.group_by(side).agg(pl.col("n").sum()).sort("n", side, descending=[True, False])
        cells = cells.filter(pl.col(side).is_in(counted[side].head(MOST_PLACES).implode()))
    return cells


def _interval(low: float | None, high: float | None) -> str:
    return f"fewer than {FEW} samples" if low is None or high is None else f"{number(low)} to {number(high)}"


def _answer(cells: pl.DataFrame, axes: tuple[Axis, Axis], few: int) -> str:
    read = cells.filter(~pl.col("few")).sort("mean_loss", descending=True)
    are = "is" if few == 1 else "are"
    grey = f" {counted(few, 'cell')} {are} grey: fewer than {FEW} samples, too few to be read." if few else ""
    if read.is_empty():
        return f"No cell has {FEW} samples: too few to be read."
    top = read.row(0, named=True)
    sides = ", ".join(f"{name(axis.column).lower()} {plain(top[side])}" for side, axis in zip(SIDES, axes, strict=True))
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
            side.capitalize(), axes_of(run), format_func=name, key=f"pivot-{side}", on_change=_take_axes, width=220
        )
    return data.axis(run, pivot[0]), data.axis(run, pivot[1])


def _take_axes() -> None:
    """Lay out by the chosen columns; one that is chosen for both sides changes places with the other."""
    before = table_session.current().pivot
    assert before is not None, "the columns are shown only then"
    down, across = (st.session_state[f"pivot-{side}"] for side in SIDES)
    table_session.change(pivot=(before[1], before[0]) if down == across else (down, across))


def _switch(run: Run) -> None:
    axes = axes_of(run)
    down, across, *_ = (column for column in FIRST if column in axes)
    table_session.change(pivot=(down, across) if st.session_state["pivot-on"] else None)


def _show_chart(cells: pl.DataFrame, axes: tuple[Axis, Axis], found: pl.DataFrame) -> None:
    # cells of their own for each filter, or the one that was clicked would stay chosen among the next ones
    key = f"pivot-{axes[0].column}-{axes[1].column}-{filters.current().to_text()}"
    down, across = (name(axis.column) for axis in axes)
    show_chart(
        table_charts.pivot_cells(cells, down=down, across=across),
        on_select=partial(_take_cell, key, axes, found),
        key=key,
        alt=f"Mean held-out loss by {down.lower()} and {across.lower()}; the same numbers are in the table below",
    )
    st.caption(
        "Loss in nats; 95 % intervals by Hall's transformation for skewed values. A click on a cell filters the table "
        "above to its samples."
    )


def _take_cell(key: str, axes: tuple[Axis, Axis], found: pl.DataFrame) -> None:
    """Filter by the cell the reader clicked."""
    picked = st.session_state[key]["selection"].get("cell")
    if picked:
        before = filters.current().to_text()
        filters.narrow(cell_clauses(found.row(int(picked[-1]["cell"]), named=True), axes))
        st.session_state[BEFORE] = (before, filters.current().to_text())


def cell_clauses(row: Mapping[str, object], axes: tuple[Axis, Axis]) -> list[Clause]:
    """The conditions that leave exactly the samples a cell counts: its places, labelled and held out."""
    places = [axis.clause(row[side]) for side, axis in zip(SIDES, axes, strict=True)]
    held_out = Clause(column="out_of_sample", op="is", values=("true",))
    labelled = [] if "label" in {axis.column for axis in axes} else [Clause(column="label", op="present")]
    return [*places, held_out, *labelled]


def _show_way_back() -> None:
    """A button to the filters before the click, as long as nothing else has changed them."""
    before, after = st.session_state.get(BEFORE, ("", ""))
    if before != after == filters.current().to_text():
        st.button(
            "Back to all cells",
            icon=":material/undo:",
            key="pivot-back",
            on_click=lambda: filters.change(Filters.from_text(before)),
        )


def _show_table(cells: pl.DataFrame, axes: tuple[Axis, Axis]) -> None:
    """The cells one below the other, and their CSV."""
    st.dataframe(
        cells.select(*SIDES, "n", "mean_loss", "interval"),
        hide_index=True,
        column_config={
            **{side: name(axis.column) for side, axis in zip(SIDES, axes, strict=True)},
            "n": st.column_config.NumberColumn("Samples", format="localized"),
            "mean_loss": st.column_config.NumberColumn("Mean loss (nats)", format="%.3f"),
            "interval": "95 % interval",
        },
    )
    names = {side: axis.column for side, axis in zip(SIDES, axes, strict=True)}
    file = cells.select(*SIDES, "n", "mean_loss", "low", "high").rename(names)
    show_download(file.lazy(), "csv", "These cells as CSV", name="losses")
