"""One finding as a card: the statement, its numbers, its hardest samples, what to do, and ways into the group."""

from urllib.parse import urlencode

import streamlit as st

from lake.contracts.rows import FindingRow
from lake.storage.store import Run
from pages.text import findings, missing
from pages.text.words import GLOSSARY, plain
from pages.ui.core import data
from pages.ui.samples.gallery import show_gallery
from pages.ui.session.copy_link import copy_link
from pages.ui.session.navigation import address, page

TARGETS = {
    "population_map": "On the map",
    "confusion": "In the matrix",
    "samples": "As a table",
    "loss_analysis": "Why",
}
COLORS = {"counted": "blue", "confirmed": "green"}
"""Of the badge, grey where the verdict is another."""


def show_finding(run: Run, finding: FindingRow) -> None:
    """The card."""
    with st.container(border=True):
        verdict = findings.verdict(finding)
        st.markdown(f"**{findings.title(finding)}** &nbsp; :{COLORS.get(verdict, 'gray')}-badge[{verdict}]")
        st.markdown(plain(finding["sentence"]))
        explained = f"Lift: {GLOSSARY['lift']} Adjusted p: {GLOSSARY['adjusted p']}"
        st.caption(" · ".join(findings.numbers(finding)), help=explained)
        if said := findings.evidence(data.table(run, "pooled_maps"), finding):
            st.caption(f":material/gradient: {said}", help=GLOSSARY["border"])
        st.markdown(f"**Do:** {plain(finding['action'])}")
        examples = findings.hardest(data.samples(run), finding["filter"])
        show_gallery(run, examples, key=f"finding-{finding['finding_id']}")
        with st.container(horizontal=True, vertical_alignment="center"):
            for name, label in TARGETS.items():
                if _leads_somewhere(run, finding, name):
                    st.page_link(page(name), label=label, query_params={**address(), "f": finding["filter"]})
            pinned = urlencode({"run": run.run_id, "finding": finding["finding_id"]})
            copy_link("Copy link", key=f"link-{finding['finding_id']}", query=pinned)


def _leads_somewhere(run: Run, finding: FindingRow, name: str) -> bool:
    """Whether the page of that name has something to show of the finding."""
    shown = {
        "population_map": missing.has(run, missing.MAP),
        "confusion": finding["errors"] is not None,
        "loss_analysis": bool(data.map_layers(run)),
    }
    return shown.get(name, True)
