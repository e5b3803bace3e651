"""Differences of two groups of images in measured properties: in words, and as a table."""

import polars as pl
import streamlit as st

from lake.comparison.differences import HUES, Difference, notable, to_clause
from lake.contracts.rows import rows_of
from pages.text.formatting import column_title
from pages.text.glossary import GLOSSARY

NOTHING = "No measured property differs enough to be named (adjusted p < 0.05 and a Cliff's delta of 0.33 or more)."


def say_differences(measured: pl.DataFrame, *, others: str) -> str:
    """Describe the strongest differences in one sentence, or say that there are none."""
    clauses = [to_clause(row, others=others) for row in rows_of(notable(measured), Difference)]
    text = ", ".join(clauses)
    return f"{text[:1].upper()}{text[1:]}." if clauses else NOTHING


def show_differences(measured: pl.DataFrame, title: str, others_title: str) -> None:
    """Show every property, strongest difference first; for a hue the share of images that have it."""
    words = [f"{p.capitalize()} objects (share)" if p in HUES else column_title(p) for p in measured["property"]]
    table = measured.with_columns(pl.Series("property", words)).sort(pl.col("delta").abs(), descending=True)
    number = st.column_config.NumberColumn
    st.dataframe(
        table.select("property", "here", "others", "delta", "adjusted_p"),
        hide_index=True,
        column_config={
            "property": "Property",
            "here": number(title, format="%.3g"),
            "others": number(others_title, format="%.3g"),
            "delta": number(
                "Cliff's delta",
                format="%+.2f",
                help="1: every image of the first is higher than every one of the other; -1: lower; 0: no difference.",
            ),
            "adjusted_p": number("Adjusted p", format="%.2g", help=GLOSSARY["adjusted p"]),
        },
    )
