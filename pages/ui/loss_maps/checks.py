"""How reliable a method of the run is: independent measurements, each with its threshold."""

import streamlit as st

from lake.storage.store import Run
from pages.text.checks import say_checks, tabulate
from pages.ui.core import data


def show_checks(run: Run, subject: str) -> None:
    """Show one line that summarises the checks of a subject, and every figure in an expander."""
    checks = data.table(run, "proofs").filter(subject=subject).sort("claim")
    if checks.is_empty():
        st.caption("These checks were not measured in this run.")
        return
    with st.expander(say_checks(checks, subject)):
        st.dataframe(
            tabulate(checks),
            hide_index=True,
            column_config={
                "verdict": st.column_config.TextColumn("Verdict", width="small"),
                "claim": st.column_config.TextColumn("What was measured", width="large"),
                "n": st.column_config.NumberColumn("n", format="localized"),
                "figure": st.column_config.TextColumn("Figure (95 % interval)"),
                "bar": st.column_config.TextColumn("Bar"),
            },
        )
