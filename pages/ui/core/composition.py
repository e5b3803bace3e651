"""What a selection is made of, against all: shares with their lift, and the image properties that differ most."""

import polars as pl
import streamlit as st

from lake.comparison.differences import measure
from lake.contracts.clusters import METHODS
from lake.query import queries
from lake.statistics import wilson_interval
from pages.text.words import PERCENT, name, percent
from pages.ui.core.differences import show_differences

PROPERTIES = "image properties"
ROWS = 12


def show_composition(group: pl.LazyFrame, samples: pl.DataFrame, *, whole: bool) -> None:
    """The table of what a group is made of by a column the reader picks."""
    n = group.select(pl.len()).collect().item()
    st.markdown(f"**{'All shown' if whole else 'Selection'}: {n:,} of {len(samples):,} samples**")
    clusters = [queries.cluster_column(method) for method in METHODS]
    measured = [PROPERTIES] if samples[queries.PROPERTIES[0]].count() else []
    columns = [c for c in ("label", "predicted", "split", *clusters) if samples[c].count()] + measured
    column = st.selectbox("Made of", columns, format_func=name, key="map-composition")
    if not n:
        st.info("No sample passes the filters: loosen them in the sidebar.")
    elif column == PROPERTIES:
        _show_properties(group, samples)
    else:
        _show_shares(group, samples, column)


def _show_shares(group: pl.LazyFrame, samples: pl.DataFrame, column: str) -> None:
    table = queries.composition(group, samples.lazy(), column).head(ROWS).collect()
    total = int(group.select(pl.col(column).count()).collect().item())
    intervals = [wilson_interval(n, total) for n in table["n"]]
    here = [
        f"{percent(share)} ({low * 100:.1f}–{high * 100:.1f})"
        for share, (low, high) in zip(table["share"], intervals, strict=True)
    ]
    number = st.column_config.NumberColumn
    st.dataframe(
        table.select(column, "n", pl.Series("here", here, dtype=pl.String), pl.col("share_all") * 100, "lift"),
        hide_index=True,
        column_config={
            column: name(column),
            "n": number("n", format="localized"),
            "here": st.column_config.TextColumn("Here (95 %)"),
            "share_all": number("All", format=PERCENT),
            "lift": number("Lift", format="%.1f x", help="Share here over share in all samples."),
        },
    )


def _show_properties(group: pl.LazyFrame, samples: pl.DataFrame) -> None:
    members = group.select("sample_id").collect().to_series()
    inside = samples["sample_id"].is_in(members.implode()).to_numpy()
    show_differences(measure(samples, [inside]), "Here", "Others")
