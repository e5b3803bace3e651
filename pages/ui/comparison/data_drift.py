"""Drift of the data between two runs, and between the splits of one."""

import polars as pl
import streamlit as st

from lake.comparison.differences import HUES
from lake.comparison.drift import Drift
from lake.storage.store import Run
from pages.text.formatting import column_title, plain
from pages.text.glossary import GLOSSARY
from pages.ui.core import comparisons
from pages.ui.session.navigation import link

DELTA = "1: every image of the first is higher than every one of the others; -1: lower; below 0.147 negligible."


def show_run_drift(run: Run, before: Run) -> None:
    """Compare the images that only this run has with those of the other."""
    st.subheader("Data, between the two runs")
    drift = comparisons.run_drift(run, before)
    if isinstance(drift, str):
        st.markdown(plain(drift))
        return
    _show(drift, key="run-drift")


def show_split_drift(run: Run) -> None:
    """Compare each split of the run with the others."""
    st.subheader("Data, between the splits of this run")
    drift = comparisons.split_drift(run)
    _show(drift, key="split-drift")
    with st.container(horizontal=True):
        for split in drift.properties["set"].unique(maintain_order=True):
            link("samples", f"Open {split}", icon=":material/table_rows:", f=f"split.is.{split}")


def _show(drift: Drift, *, key: str) -> None:
    """Show the sentences, and every test in an expander."""
    for sentence in drift.sentences():
        st.markdown(plain(sentence))
    n = len(drift.properties) + len(drift.spaces)
    if not n:
        return
    with st.expander(f"All {n} tests"):
        if len(drift.properties):
            _show_properties(drift.properties, key=f"{key}-properties")
        if len(drift.spaces):
            _show_spaces(drift.spaces, key=f"{key}-spaces")


def _show_properties(properties: pl.DataFrame, *, key: str) -> None:
    words = [f"{p.capitalize()} objects (share)" if p in HUES else column_title(p) for p in properties["property"]]
    table = properties.with_columns(pl.Series("property", words)).sort(pl.col("delta").abs(), descending=True)
    number = st.column_config.NumberColumn
    st.dataframe(
        table.drop("others", "p"),
        hide_index=True,
        key=key,
        column_config={
            "set": st.column_config.TextColumn("Set", width="small"),
            "n": number("Samples", format="localized"),
            "n_others": number("Others", format="localized"),
            "property": "Property",
            "here": number("Median", format="%.3g"),
            "there": number("Of the others", format="%.3g"),
            "delta": number("Cliff's delta", format="%+.3f", help=DELTA),
            "low": number("95 % from", format="%+.3f"),
            "high": number("to", format="%+.3f"),
            "adjusted_p": number("Adjusted p", format="%.2g", help=GLOSSARY["adjusted p"]),
        },
    )


def _show_spaces(spaces: pl.DataFrame, *, key: str) -> None:
    number = st.column_config.NumberColumn
    st.dataframe(
        spaces.drop("p"),
        hide_index=True,
        key=key,
        column_config={
            "set": st.column_config.TextColumn("Set", width="small"),
            "others": "Against",
            "space": "As a whole",
            "n": number("Samples", format="localized"),
            "n_others": number("Others", format="localized"),
            "value": number("Energy distance", format="%.4f", help="0: distributed alike; 1: apart."),
            "chance": number("By chance up to", format="%.4f"),
            "adjusted_p": number("Adjusted p", format="%.2g", help=GLOSSARY["adjusted p"]),
        },
    )
