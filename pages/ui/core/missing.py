"""The message of a page that has nothing to show for a run."""

import streamlit as st

from lake.storage.store import Run
from pages.text import missing
from pages.text.missing import Part


def show_missing(run: Run, part: Part) -> bool:
    """Return whether the run lacks what the page shows, after showing a message; the page should then end."""
    sentence = missing.say(run, part)
    if sentence is not None:
        st.markdown(f"## {sentence}")
    return sentence is not None
