"""The one sentence of a page that has nothing to show of a run, in place of the rest of it."""

import streamlit as st

from lake.storage.store import Run
from pages.text import missing
from pages.text.missing import Part


def show_missing(run: Run, part: Part) -> bool:
    """Whether the run lacks what a page is about; then that is said, and the page is to end."""
    said = missing.say(run, part)
    if said is not None:
        st.markdown(f"## {said}")
    return said is not None
