"""Saved sets of samples: save, open and remove."""

from typing import TypedDict

import streamlit as st

from lake.contracts.rows import rows_of
from lake.errors import UserError
from lake.query.filters import Filters
from lake.query.reviews import drop_set, save_set, saved_sets, scan_reviews
from lake.storage.store import Run
from pages.text.formatting import plain
from pages.ui.session.access import access
from pages.ui.session.login import ask_reviewer, may_write
from pages.ui.session.navigation import address, page

NAME_LENGTH = 80


class SavedSet(TypedDict):
    """A row of `lake.query.reviews.saved_sets`."""

    name: str
    sample_ids: list[int]
    saved_by: list[str]


def save_as_set(run: Run, sample_ids: list[int]) -> None:
    """Show a button that saves the samples as a set under a name."""
    if not may_write("saved sets"):
        return
    with st.popover("Save as a set", icon=":material/bookmark_add:"):
        name = st.text_input("Name of the set", key="set-name", max_chars=NAME_LENGTH)
        person = ask_reviewer("reviewer")
        if st.button(f"Save {len(sample_ids)} samples", type="primary", key="set-save"):
            try:
                save_set(run, name, sample_ids, person)
            except UserError as error:
                st.error(plain(str(error)))
                return
            st.toast(f"Saved as {plain(name.strip())}.")


def show_saved_sets(run: Run) -> None:
    """Show every saved set with its links; nothing if there is none."""
    sets = saved_sets(scan_reviews(run.lake, run.dataset_id)).collect()
    if sets.is_empty():
        return
    st.subheader("Saved sets")
    for row in rows_of(sets, SavedSet):
        _show_set(run, row)


def _show_set(run: Run, row: SavedSet) -> None:
    """Show a set in one line: description, links, and the button that removes it."""
    name, ids = row["name"], row["sample_ids"]
    by = ", ".join(row["saved_by"])
    text = Filters.of(sample_id=[str(i) for i in ids]).to_text()
    examples = {"sample": str(ids[0]), "also": ", ".join(str(i) for i in ids[1:])}
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown(f"**{plain(name)}** · {len(ids):,} samples · by {plain(by)}", width=360)
        st.page_link(page("similar"), label="More like these", query_params={**address(), **examples})
        for target, label in {"population_map": "On the map", "samples": "As a table"}.items():
            st.page_link(page(target), label=label, query_params={**address(), "f": text})
        if not access().read_only:
            _offer_drop(run, name)


def _offer_drop(run: Run, name: str) -> None:
    with st.popover("Take back"):
        person = ask_reviewer(f"drop-by-{name}")
        if st.button(f"Take back {plain(name)}", key=f"drop-{name}"):
            _drop(run, name, person)


def _drop(run: Run, name: str, person: str) -> None:
    try:
        drop_set(run, name, person)
    except UserError as error:
        st.error(plain(str(error)))
        return
    st.rerun()
