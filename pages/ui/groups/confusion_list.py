"""The confusions of more classes than a matrix can show: the most frequent as a list, and the matrix around a class."""

import polars as pl
import streamlit as st

from lake.query.confusions import among, confused_with
from lake.query.filters import Clause, Filters
from lake.query.queries import rank_confusions
from lake.statistics import wilson_interval
from lake.storage.store import Run
from pages.charts import charts
from pages.text.words import GLOSSARY, percent, plain
from pages.ui.core import filters
from pages.ui.core.chart_registry import show_chart
from pages.ui.session.navigation import url

IN_THE_LIST, IN_THE_MATRIX = 200, 12
HEADER_HEIGHT, ROW_HEIGHT = 130, 50
"""In pixels: Streamlit fits the names above the matrix into its height."""
BEFORE, CHOSEN = "confusions-before", "confusions-chosen"
Cell = dict[str, object]


def pick_confusion(cells: pl.DataFrame) -> Cell | None:
    """The list; returns the row the reader selected."""
    ranked = rank_confusions(cells)
    if ranked.is_empty():
        return None
    shown = ranked.head(IN_THE_LIST)
    state = st.dataframe(
        _tabulate(shown),
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
    rest = f"The {len(shown):,} most frequent of {len(ranked):,} confusions. " if len(ranked) > len(shown) else ""
    st.caption(f"{rest}Select a row to see its samples below.")
    rows = [row for row in state["selection"]["rows"] if row < len(shown)]
    return shown.row(rows[0], named=True) if rows else None


def pick_class(run: Run, cells: pl.DataFrame) -> str:
    """The class whose matrix is shown, at first that of the most frequent confusion."""
    found = set(cells["label"])
    classes = [name for name in run.classes if name in found]
    ranked = rank_confusions(cells)
    first = classes.index(ranked["label"][0]) if len(ranked) else 0
    help_ = f"Type to search. The matrix shows it and the {IN_THE_MATRIX - 1} classes it is confused with most."
    return str(st.selectbox("Around the class", classes, index=first, key="matrix-class", help=help_))


def show_matrix_of(cells: pl.DataFrame, label: str, *, value: str) -> Cell | None:
    """The matrix of a class and those it is confused with most; returns the cell the reader clicked."""
    classes = confused_with(cells, label, IN_THE_MATRIX)
    if len(classes) == 1:
        st.caption(f"{plain(label)} is never called another class, and no other is called {plain(label)}.")
    said = f"Confusion matrix of {label} and the classes it is confused with most"
    height = min(charts.MATRIX_HEIGHT, HEADER_HEIGHT + ROW_HEIGHT * len(classes))
    drawn = charts.confusion_matrix(among(cells, classes), classes, value=value).properties(height=height)
    return show_matrix(drawn, key=f"matrix-{label}", alt=said)


def show_matrix(matrix: charts.Layered, *, key: str, alt: str) -> Cell | None:
    """The matrix; returns the cell the reader clicked."""
    state = show_chart(matrix, on_select="rerun", selection_mode="cell", key=key, alt=alt)
    picked = state["selection"].get("cell") or []
    return dict(picked[0]) if picked and {"label", "predicted"} <= set(picked[0]) else None


def top_around(cells: pl.DataFrame, label: str) -> Cell | None:
    """The most frequent confusion of a class, else of others with it; None where it is in none."""
    ranked = rank_confusions(cells)
    for side in ("label", "predicted"):
        found = ranked.filter(pl.col(side) == label)
        if len(found):
            return found.row(0, named=True)
    return None


def keep_latest(picked: list[Cell | None]) -> Cell | None:
    """Of what is selected in several places what the reader selected last; of as late ones the last."""
    before = st.session_state.get(BEFORE, [None] * len(picked))
    changed = [now for now, was in zip(picked, before, strict=True) if now is not None and now != was]
    kept = st.session_state.get(CHOSEN)
    still = kept if kept in picked else None
    chosen = changed[-1] if changed else still or next(filter(None, picked), None)
    st.session_state[BEFORE], st.session_state[CHOSEN] = picked, chosen
    return chosen


def _tabulate(ranked: pl.DataFrame) -> pl.DataFrame:
    """The rows in words, each with the address of its images."""
    shares = [_share(n, total) for n, total in ranked.select("n", "total").iter_rows()]
    links = [_link(*pair) for pair in ranked.select("label", "predicted").iter_rows()]
    words = pl.Series("share", shares), pl.Series("images", links)
    return ranked.select("label", "predicted", "n", words[0], "mean_loss", words[1])


def _share(n: int, total: int) -> str:
    low, high = wilson_interval(n, total)
    return f"{percent(n / total)} of {total:,} ({low * 100:.0f} to {high * 100:.0f})"


def _link(label: str, predicted: str) -> str:
    """The table of the samples of a cell that pass the filters."""
    values = {"label": label, "predicted": predicted, "out_of_sample": "true"}
    clauses = [Clause(column=column, op="is", values=(value,)) for column, value in values.items()]
    held = [clause for clause in filters.current().clauses if clause not in clauses]
    return url("samples", f=Filters(clauses=(*held, *clauses)).to_text())
