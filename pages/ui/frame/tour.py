"""The guided tour: each claim of a run as a strip on the page that shows it; the step is kept in the URL."""

import streamlit as st

from lake.storage.store import Run
from pages.text.claims import Claim
from pages.ui.core import data
from pages.ui.session.navigation import page

STEP = "tour"


def show_start(run: Run) -> None:
    """Show the start of the tour for new readers; nothing if the run has no claims."""
    claims = data.claims(run)
    if not claims:
        return
    number = "One claim, on" if len(claims) == 1 else f"{len(claims)} claims, each on"
    with st.container(horizontal=True, vertical_alignment="center", key="tour-start"):
        st.markdown(f"New here? {number} the page that shows it, with its count.", width="content")
        _link(run, claims, 1, "Take the tour", ":material/tour:")


def show_step(run: Run, page_name: str) -> None:
    """Show the strip above the page if the URL asks for a step that belongs to it."""
    requested = st.query_params.get(STEP, "")
    claims = data.claims(run) if requested else []
    step = int(requested) if requested.isascii() and requested.isdecimal() and len(requested) < 3 else 0
    if not 1 <= step <= len(claims) or claims[step - 1].page != page_name:
        return
    claim = claims[step - 1]
    with st.container(border=True, key="tour-step"):
        st.markdown(f"**{step} of {len(claims)} · {claim.title}.** {claim.sentence}")
        if claim.evidence:
            st.caption(claim.evidence)
        st.markdown(claim.look)
        with st.container(horizontal=True):
            if step > 1:
                _link(run, claims, step - 1, "Back", ":material/arrow_back:")
            if step < len(claims):
                _link(run, claims, step + 1, f"Next: {_lower(claims[step].title)}", ":material/arrow_forward:")
            st.page_link(page("overview"), label="End the tour", icon=":material/close:", query_params=_pinned(run))


def _link(run: Run, claims: list[Claim], step: int, label: str, icon: str) -> None:
    """Show a link to a step: its page with its filter or sample, without the filter of the previous step."""
    claim = claims[step - 1]
    query = _pinned(run) | claim.query | {STEP: str(step)}
    st.page_link(page(claim.page), label=label, icon=icon, query_params=query)


def _pinned(run: Run) -> dict[str, str]:
    return {"run": run.run_id}


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]
