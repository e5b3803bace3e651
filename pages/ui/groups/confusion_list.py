"""Confusions of too many classes for a matrix: a list of the most frequent, and the matrix around one class."""

import polars as pl
import streamlit as st

from lake.query.confusions import among, confused_with
from lake.query.filters import Clause, Filters
from lake.query.queries import rank_confusions
from lake.statistics import wilson_interval
from lake.storage.store import Run
from pages.charts import charts
from pages.text.formatting import percent, plain
from pages.text.glossary import GLOSSARY
from pages.ui.core import filters
from pages.ui.core.chart_registry import show_chart
from pages.ui.session.navigation import url

IN_THE_LIST, IN_THE_MATRIX = 200, 12
HEADER_HEIGHT, ROW_HEIGHT = 130, 50
"""In pixels: Streamlit fits the names above the matrix into its height."""
BEFORE, CHOSEN = "confusions-before", "confusions-chosen"
Cell = dict[str, object]


def pick_confusion(cells: pl.DataFrame) -> Cell | None:
    """Show the list; return the selected row."""
    ranked = rank_confusions(cells)
    if ranked.is_empty():
        return None
    most_frequent = ranked.head(IN_THE_LIST)
    state = st.dataframe(
        _tabulate(most_frequent),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="confusion-list",
        column_config={
            "label": st.column_config.TextColumn("Given label", width=108),
            "predicted": st.column_config.TextColumn("Predicted", width=108),
            "n": st.column_config.NumberColumn("Samples", format="localized", width=68),
            "share": st.column_config.TextColumn("Share (95 %)", width=142, help=GLOSSARY["interval"]),
            "mean_loss": st.column_config.NumberColumn(
                "Loss", format="%.2f", width=48, help="Mean cross-entropy in nats."
            ),
            "images": st.column_config.LinkColumn("Table", display_text="Open", width=58),
        },
    )
    rest = (
        f"The {len(most_frequent):,} most frequent of {len(ranked):,} confusions. "
        if len(ranked) > len(most_frequent)
        else ""
    )
    st.caption(f"{rest}Select a row to see its samples below.")
    rows = [row for row in state["selection"]["rows"] if row < len(most_frequent)]
    return most_frequent.row(rows[0], named=True) if rows else None


def pick_class(run: Run, cells: pl.DataFrame) -> str:
    """Choose the class whose matrix is shown, initially that of the most frequent confusion."""
    labels = set(cells["label"])
    classes = [name for name in run.classes if name in labels]
    ranked = rank_confusions(cells)
    first = classes.index(ranked["label"][0]) if len(ranked) else 0
    help_ = f"Type to search. The matrix shows it and the {IN_THE_MATRIX - 1} classes it is confused with most."
    return str(st.selectbox("Around the class", classes, index=first, key="matrix-class", help=help_))


def show_matrix_of(cells: pl.DataFrame, label: str, *, value: str) -> Cell | None:
    """Show the matrix of a class and those it is confused with most; return the selected cell."""
    classes = confused_with(cells, label, IN_THE_MATRIX)
    if len(classes) == 1:
        st.caption(f"{plain(label)} is never called another class, and no other is called {plain(label)}.")
    alt_text = f"Confusion matrix of {label} and the classes it is confused with most"
    height = min(charts.MATRIX_HEIGHT, HEADER_HEIGHT + ROW_HEIGHT * len(classes))
    matrix = charts.confusion_matrix(among(cells, classes), classes, value=value).properties(height=height)
    return show_matrix(matrix, key=f"matrix-{label}", alt=alt_text)


def show_matrix(matrix: charts.Layered, *, key: str, alt: str) -> Cell | None:
    """Show the matrix; return the selected cell."""
    state = show_chart(matrix, on_select="rerun", selection_mode="cell", key=key, alt=alt)
    cells = state["selection"].get("cell") or []
    return dict(cells[0]) if cells and {"label", "predicted"} <= set(cells[0]) else None


def top_around(cells: pl.DataFrame, label: str) -> Cell | None:
    """Return the most frequent confusion of a class, else of others with it; None if there is none."""
    ranked = rank_confusions(cells)
    for side in ("label", "predicted"):
        matches = ranked.filter(pl.col(side) == label)
        if len(matches):
            return matches.row(0, named=True)
    return None


def keep_latest(cells: list[Cell | None]) -> Cell | None:
    """Return the latest of several selections; of simultaneous ones the last."""
    before = st.session_state.get(BEFORE, [None] * len(cells))
    changed = [now for now, earlier in zip(cells, before, strict=True) if now is not None and now != earlier]
    previous = st.session_state.get(CHOSEN)
    unchanged = previous if previous in cells else None
    latest = changed[-1] if changed else unchanged or next(filter(None, cells), None)
    st.session_state[BEFORE], st.session_state[CHOSEN] = cells, latest
    return latest


def _tabulate(ranked: pl.DataFrame) -> pl.DataFrame:
    """Return the rows as text, each with a link to its samples."""
    shares = [_share(n, total) for n, total in ranked.select("n", "total").iter_rows()]
    links = [_link(*pair) for pair in ranked.select("label", "predicted").iter_rows()]
    words = pl.Series("share", shares), pl.Series("images", links)
    return ranked.select("label", "predicted", "n", words[0], "mean_loss", words[1])


def _share(n: int, total: int) -> str:
    low, high = wilson_interval(n, total)
    return f"{percent(n / total)} of {total:,} ({low * 100:.0f} to {high * 100:.0f})"


def _link(label: str, predicted: str) -> str:
    """Return the URL of the table with the samples of a cell that pass the filters."""
    values = {"label": label, "predicted": predicted, "out_of_sample": "true"}
    clauses = [Clause(column=column, op="is", values=(value,)) for column, value in values.items()]
    others = [clause for clause in filters.current().clauses if clause not in clauses]
    return url("samples", f=Filters(clauses=(*others, *clauses)).to_text())
