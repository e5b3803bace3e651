"""The state of the analyst's table through a session: from the address or the session, and back into the address."""

import streamlit as st

from lake.storage.store import Run
from pages.text.words import plain
from pages.ui.session import page_address
from pages.ui.table import table_state
from pages.ui.table.table_columns import axes_of, columns_of
from pages.ui.table.table_state import TableState

STATE, ADDRESS = "table-state", "table-address"
SAID = 3


def current() -> TableState:
    """What the table shows now."""
    state: TableState = st.session_state[STATE]
    return state


def change(**values: object) -> None:
    """Show something else from the next run of the page on; for callbacks."""
    st.session_state[STATE] = current().changed(**values)


def start(run: Run) -> TableState:
    """Take the state from the address when a link opened the page, else keep that of the session, as the run has it."""
    asked = page_address.asked(table_state.PARAMETERS)
    follow = STATE not in st.session_state or (asked and asked != st.session_state[ADDRESS])
    query = asked if follow else current().to_query()
    state, refused = table_state.from_query(query, columns_of(run), axes_of(run))
    if refused:
        more = f" and {len(refused) - SAID} more" if len(refused) > SAID else ""
        st.toast(f"Left out, as this run has nothing like it: {plain(', '.join(refused[:SAID]))}{more}.")
    st.session_state[STATE] = state
    return state


def keep_address() -> None:
    """Write the state into the address, so that a copied link shows the same."""
    query = current().to_query()
    page_address.keep(table_state.PARAMETERS, query)
    st.session_state[ADDRESS] = query
