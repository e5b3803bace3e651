"""How far a method of the run can be believed: what was measured of it in other ways, and the bar it was held to."""

import polars as pl
import streamlit as st

from lake.store import Run
from pages.ui import data
from pages.ui.words import number

VERDICTS = {True: "holds", False: "missed", None: "too few"}


def show_proofs(run: Run, subject: str) -> None:
    """One line, and every figure behind a fold."""
    proofs = data.table(run, "proofs").filter(subject=subject).sort("claim")
    if proofs.is_empty():
        st.caption("What proves these was not measured in this run: it is older than the measurement.")
        return
    held = int(proofs["holds"].sum())
    measured = int(proofs["holds"].is_not_null().sum())
    with st.expander(f"How far can these {subject} be believed? {held} of {measured} checks hold"):
        st.dataframe(
            proofs.select(
                pl.col("holds").replace_strict(VERDICTS, return_dtype=pl.String, default="too few").alias("verdict"),
                "claim",
                "n",
                pl.Series("figure", [_figure(row) for row in proofs.iter_rows(named=True)]),
                pl.Series("bar", [f"{row['rule']} {number(row['bar'])}" for row in proofs.iter_rows(named=True)]),
            ),
            hide_index=True,
            column_config={
                "verdict": st.column_config.TextColumn("Verdict", width="small"),
                "claim": st.column_config.TextColumn("What was measured", width="large"),
                "n": st.column_config.NumberColumn("n", format="localized"),
                "figure": st.column_config.TextColumn("Figure (95 % interval)"),
                "bar": st.column_config.TextColumn("Bar"),
            },
        )


def _figure(row: dict[str, float | None]) -> str:
    if row["value"] is None:
        return "–"
    if row["low"] is None or row["high"] is None:
        return number(row["value"])
    return f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
