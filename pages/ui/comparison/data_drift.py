"""Whether the data differs: between two runs, and between the splits of one."""

import polars as pl
import streamlit as st

from lake.comparison.differences import HUES
from lake.comparison.drift import Drift
from lake.storage.store import Run
from pages.text.words import GLOSSARY, name, plain
from pages.ui.core import comparisons
from pages.ui.session.navigation import link

DELTA = "1: every image of the first is higher than every one of the others; -1: lower; below 0.147 negligible."


def show_run_drift(run: Run, before: Run) -> None:
    """The images that only this run's data has against those of the other."""
    st.subheader("Data, between the two runs")
    found = comparisons.run_drift(run, before)
    if isinstance(found, str):
        st.markdown(plain(found))
        return
    _show(found, key="run-drift")


def show_split_drift(run: Run) -> None:
    """Each split of the run against the others."""
    st.subheader("Data, between the splits of this run")
    found = comparisons.split_drift(run)
    _show(found, key="split-drift")
    with st.container(horizontal=True):
        for split in found.properties["set"].unique(maintain_order=True):
            link("samples", f"Open {split}", icon=":material/table_rows:", f=f"split.is.{split}")


def _show(found: Drift, *, key: str) -> None:
    """The sentences, and behind a fold every test."""
    for sentence in found.sentences():
        st.markdown(plain(sentence))
    n = len(found.properties) + len(found.spaces)
    if not n:
        return
    with st.expander(f"All {n} tests"):
        if len(found.properties):
            _show_properties(found.properties, key=f"{key}-properties")
        if len(found.spaces):
            _show_spaces(found.spaces, key=f"{key}-spaces")


def _show_properties(properties: pl.DataFrame, *, key: str) -> None:
    words = [f"{p.capitalize()} objects (share)" if p in HUES else name(p) for p in properties["property"]]
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
