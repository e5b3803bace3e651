"""Saved views of the sample table: save, open and remove."""

from collections.abc import Callable

import streamlit as st

from lake.contracts.rows import ViewRow, rows_of
from lake.errors import UserError
from lake.query.saved_views import View, drop_view, save_view, saved_views, scan_views
from lake.storage.appending import MAX_NAME
from lake.storage.store import Run
from pages.text.formatting import plain
from pages.ui.core import filters
from pages.ui.session.access import access
from pages.ui.session.login import ask_reviewer, may_write
from pages.ui.session.navigation import address, page
from pages.ui.table import table_session

MENU_WIDTH, NOTE_LENGTH = 420, 200


def show_views(run: Run) -> None:
    """Show a menu of the saved views, and a form to save the current one."""
    views = saved_views(scan_views(run.lake, run.dataset_id)).collect()
    with st.popover(f"Views · {len(views)}", icon=":material/bookmarks:"), st.container(width=MENU_WIDTH):
        for row in rows_of(views, ViewRow):
            _show_view(run, row)
        _save(run, set(views["name"]))


def view_address(row: ViewRow) -> dict[str, str]:
    """Return the query parameters that open a saved view on the run of the session."""
    state = {"f": row["filter"], "columns": row["columns"], "sort": row["sort"], "pivot": row["pivot"]}
    return {"run": address()["run"], **{name: text for name, text in state.items() if text}}


def _show_view(run: Run, row: ViewRow) -> None:
    """Show the link to a view, who saved it and when, and the button that removes it."""
    name = row["name"]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(gap=None):
            st.page_link(page("samples"), label=f"**{plain(name)}**", query_params=view_address(row))
            note = f" · {plain(row['note'])}" if row["note"] else ""
            st.caption(f"{plain(row['saved_by'])}, {row['saved_at']:%d %b %Y %H:%M} UTC{note}")
        if not access().read_only:
            _offer_drop(run, name)


def _offer_drop(run: Run, name: str) -> None:
    with st.popover("Take back", type="tertiary"):
        person = ask_reviewer(f"view-drop-by-{name}")
        if st.button("Take the view back", key=f"view-drop-{name}"):
            _try(lambda: drop_view(run, name, person))


def _save(run: Run, names: set[str]) -> None:
    if not may_write("saved views"):
        return
    st.markdown("**Save what is on the page**")
    name = st.text_input("Name of the view", key="view-name", max_chars=MAX_NAME)
    note = st.text_input("What it is for", key="view-note", max_chars=NOTE_LENGTH)
    person = ask_reviewer("reviewer")
    replaces = name.strip() in names
    if st.button("Replace the view" if replaces else "Save the view", type="primary", key="view-save"):
        state = table_session.current().to_query() | {"filter": filters.current().to_text()}
        _try(lambda: save_view(run, View(name, person, note, **state)))


def _try(change: Callable[[], None]) -> None:
    """Apply a change and rerun the page; show an error if it is incomplete."""
    try:
        change()
    except UserError as error:
        st.error(plain(str(error)))
        return
    st.rerun()
