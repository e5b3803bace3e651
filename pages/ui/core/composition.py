"""Composition of a selection compared with all samples: shares with lift, and image properties that differ."""

import polars as pl
import streamlit as st

from lake.comparison.differences import measure
from lake.contracts.clusters import METHODS
from lake.query import joined_samples, queries
from lake.statistics import wilson_interval
from lake.storage.store import Run
from pages.text.formatting import PERCENT, column_title, percent
from pages.ui.core import data
from pages.ui.core.differences import show_differences

PROPERTIES = "image properties"
ROWS = 12


def show_composition(run: Run, selection: pl.LazyFrame, samples: pl.DataFrame, *, whole: bool) -> None:
    """Show the composition of a selection by a column that the reader picks."""
    n = selection.select(pl.len()).collect().item()
    st.markdown(f"**{'All shown' if whole else 'Selection'}: {n:,} of {len(samples):,} samples**")
    empty = data.empty_columns(run)
    clusters = [joined_samples.cluster_column(method) for method in METHODS]
    property_choice = [PROPERTIES] if samples[queries.PROPERTIES[0]].count() else []
    columns = [c for c in ("label", "predicted", "split", *clusters) if c not in empty] + property_choice
    column = st.selectbox("Made of", columns, format_func=column_title, key="map-composition")
    if not n:
        st.info("No sample passes the filters: loosen them in the sidebar.")
    elif column == PROPERTIES:
        _show_properties(selection, samples)
    else:
        _show_shares(selection, samples, column)


def _show_shares(selection: pl.LazyFrame, samples: pl.DataFrame, column: str) -> None:
    table = queries.composition(selection, samples.lazy(), column).head(ROWS).collect()
    total = int(selection.select(pl.col(column).count()).collect().item())
    intervals = [wilson_interval(n, total) for n in table["n"]]
    shares = [
        f"{percent(share)} ({low * 100:.1f}–{high * 100:.1f})"
        for share, (low, high) in zip(table["share"], intervals, strict=True)
    ]
    number = st.column_config.NumberColumn
    st.dataframe(
        table.select(column, "n", pl.Series("here", shares, dtype=pl.String), pl.col("share_all") * 100, "lift"),
        hide_index=True,
        column_config={
            column: column_title(column),
            "n": number("n", format="localized"),
            "here": st.column_config.TextColumn("Here (95 %)"),
            "share_all": number("All", format=PERCENT),
            "lift": number("Lift", format="%.1f x", help="Share here over share in all samples."),
        },
    )


def _show_properties(selection: pl.LazyFrame, samples: pl.DataFrame) -> None:
    members = selection.select("sample_id").collect().to_series()
    inside = samples["sample_id"].is_in(members.implode()).to_numpy()
    show_differences(measure(samples, [inside]), "Here", "Others")
