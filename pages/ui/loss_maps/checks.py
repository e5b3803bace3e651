"""How far a method of the run can be believed: what was measured of it in other ways, and the bar it was held to."""

import streamlit as st

from lake.storage.store import Run
from pages.text.checks import say_proofs, tabulate
from pages.ui.core import data


def show_proofs(run: Run, subject: str) -> None:
    """One line, and every figure behind a fold."""
    proofs = data.table(run, "proofs").filter(subject=subject).sort("claim")
    if proofs.is_empty():
        st.caption("What proves these was not measured in this run.")
        return
    with st.expander(say_proofs(proofs, subject)):
        st.dataframe(
            tabulate(proofs),
            hide_index=True,
            column_config={
                "verdict": st.column_config.TextColumn("Verdict", width="small"),
                "claim": st.column_config.TextColumn("What was measured", width="large"),
                "n": st.column_config.NumberColumn("n", format="localized"),
                "figure": st.column_config.TextColumn("Figure (95 % interval)"),
                "bar": st.column_config.TextColumn("Bar"),
            },
        )
