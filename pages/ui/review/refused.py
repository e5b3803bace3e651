"""Files of the dataset that could not be used: how many, and why; and how the others were understood."""

import streamlit as st

from lake.storage.store import Run
from pages.text.formatting import NO_BREAK, plain
from pages.text.understood import ASSUMED, UNDERSTOOD, list_assumed
from pages.ui.core import refusals


def show_refused(run: Run) -> None:
    """Show how many files could not be used, by reason with an example; nothing if all could."""
    refused = refusals.refused(run)
    if not refused.count:
        return
    files = "file" if refused.count == 1 else "files"
    with st.expander(f"{refused.count:,} {files} could not be used", icon=":material/report:"):
        if refused.share is not None:
            st.caption(f"{refused.to_words().replace(' %', f'{NO_BREAK}%')}.")
        refusals.show_reasons(refusals.reasons(run))


def show_understood(run: Run) -> None:
    """Show how the source was understood, and what was assumed because it was unclear; nothing if neither was noted."""
    if understood := run.facts.get("understood"):
        with st.expander(UNDERSTOOD, icon=":material/lightbulb:"):
            st.markdown("\n".join(f"- {plain(sentence)}" for sentence in understood))
    if assumed := list_assumed(run):
        with st.expander(ASSUMED, icon=":material/help:"):
            st.dataframe(
                assumed,
                hide_index=True,
                column_config={
                    "sentence": st.column_config.TextColumn("What was unclear", width="large"),
                    "setting": st.column_config.TextColumn("Setting in [dataset]"),
                    "value": st.column_config.TextColumn("Assumed"),
                },
            )
