"""Columns such as patients whose values lie in training and in test."""

import streamlit as st

from lake.storage.store import Run
from pages.text.shared_values import say_shared_values
from pages.ui.core import data
from pages.ui.session import telemetry


def show_shared_values(run: Run) -> None:
    """Say for each such column what accuracy is on values that training has not seen; nothing if there is none."""
    for sentence in _say(run.lake.root, run.run_id):
        st.markdown(sentence)


@st.cache_data(max_entries=16, show_spinner=False)
@telemetry.query("shared values")
def _say(root: str, run_id: str) -> list[str]:
    return say_shared_values(data.open_run(root, run_id))
