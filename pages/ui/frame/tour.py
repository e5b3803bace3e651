"""The guided tour: the claims of a run, one strip on the page that shows each, the step kept in the address."""

import streamlit as st

from lake.storage.store import Run
from pages.text.claims import Claim
from pages.ui.core import data
from pages.ui.session.navigation import page

STEP = "tour"


def show_start(run: Run) -> None:
    """The way in, for whoever reads this for the first time; nothing where the run can claim nothing."""
    found = data.claims(run)
    if not found:
        return
    claims = "One claim, on" if len(found) == 1 else f"{len(found)} claims, each on"
    with st.container(horizontal=True, vertical_alignment="center", key="tour-start"):
        st.markdown(f"New here? {claims} the page that shows it, with its count.", width="content")
        _link(run, found, 1, "Take the tour", ":material/tour:")


def show_step(run: Run, page_name: str) -> None:
    """The strip over the page when the address asks for a step that is told there."""
    asked = st.query_params.get(STEP, "")
    found = data.claims(run) if asked else []
    step = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 3 else 0
    if not 1 <= step <= len(found) or found[step - 1].page != page_name:
        return
    claim = found[step - 1]
    with st.container(border=True, key="tour-step"):
        st.markdown(f"**{step} of {len(found)} · {claim.title}.** {claim.sentence}")
        if claim.proof:
            st.caption(claim.proof)
        st.markdown(claim.look)
        with st.container(horizontal=True):
            if step > 1:
                _link(run, found, step - 1, "Back", ":material/arrow_back:")
            if step < len(found):
                _link(run, found, step + 1, f"Next: {_lower(found[step].title)}", ":material/arrow_forward:")
            st.page_link(page("overview"), label="End the tour", icon=":material/close:", query_params=_pinned(run))


def _link(run: Run, found: list[Claim], step: int, label: str, icon: str) -> None:
    """A link to a step: its page, its filter or sample, and no filter of the step before."""
    claim = found[step - 1]
    asked = _pinned(run) | claim.query | {STEP: str(step)}
    st.page_link(page(claim.page), label=label, icon=icon, query_params=asked)


def _pinned(run: Run) -> dict[str, str]:
    return {"run": run.run_id}


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]
