"""The state of the sample table in a session, from and to the URL."""

import streamlit as st

from lake.storage.store import Run
from pages.text.formatting import plain
from pages.ui.session import page_address
from pages.ui.table import table_state
from pages.ui.table.table_columns import axes_of, columns_of
from pages.ui.table.table_state import TableState

STATE, ADDRESS = "table-state", "table-address"
MAX_REJECTED = 3


def current() -> TableState:
    """Return the current state."""
    state: TableState = st.session_state[STATE]
    return state


def change(**values: object) -> None:
    """Change the state; effective from the next rerun, for callbacks."""
    st.session_state[STATE] = current().changed(**values)


def start(run: Run) -> TableState:
    """Take the state from the URL if a link opened the page, else from the session; drop what does not fit the run."""
    parameters = page_address.read_parameters(table_state.PARAMETERS)
    follow = STATE not in st.session_state or (parameters and parameters != st.session_state[ADDRESS])
    query = parameters if follow else current().to_query()
    state, rejected = table_state.from_query(query, columns_of(run), axes_of(run))
    if rejected:
        more = f" and {len(rejected) - MAX_REJECTED} more" if len(rejected) > MAX_REJECTED else ""
        st.toast(f"Left out, as this run has nothing like it: {plain(', '.join(rejected[:MAX_REJECTED]))}{more}.")
    st.session_state[STATE] = state
    return state


def keep_address() -> None:
    """Write the state into the URL, so that a copied link shows the same."""
    query = current().to_query()
    page_address.write_parameters(table_state.PARAMETERS, query)
    st.session_state[ADDRESS] = query
