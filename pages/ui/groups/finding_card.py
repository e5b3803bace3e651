"""A finding as a card: sentence, numbers, hardest samples, action, and links to its samples."""

from urllib.parse import urlencode

import streamlit as st

from lake.contracts.rows import FindingRow
from lake.storage.store import Run
from pages.text import findings, missing
from pages.text.formatting import plain
from pages.text.glossary import GLOSSARY
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
"""Badge colours; other verdicts are grey."""


def show_finding(run: Run, finding: FindingRow) -> None:
    """Show a finding as a card."""
    with st.container(border=True):
        verdict = findings.verdict(finding)
        st.markdown(f"**{findings.title(finding)}** &nbsp; :{COLORS.get(verdict, 'gray')}-badge[{verdict}]")
        st.markdown(plain(finding["sentence"]))
        help_text = f"Lift: {GLOSSARY['lift']} Adjusted p: {GLOSSARY['adjusted p']}"
        st.caption(" · ".join(findings.numbers(finding)), help=help_text)
        if evidence := findings.evidence(data.table(run, "pooled_maps"), finding):
            st.caption(f":material/gradient: {evidence}", help=GLOSSARY["border"])
        st.markdown(f"**Do:** {plain(finding['action'])}")
        examples = findings.hardest(data.samples(run), finding["filter"])
        show_gallery(run, examples, key=f"finding-{finding['finding_id']}")
        with st.container(horizontal=True, vertical_alignment="center"):
            for name, label in TARGETS.items():
                if _leads_somewhere(run, finding, name):
                    st.page_link(page(name), label=label, query_params={**address(), "f": finding["filter"]})
            query = urlencode({"run": run.run_id, "finding": finding["finding_id"]})
            copy_link("Copy link", key=f"link-{finding['finding_id']}", query=query)


def _leads_somewhere(run: Run, finding: FindingRow, name: str) -> bool:
    """Return whether a page has something to show for the finding."""
    has_content = {
        "population_map": missing.has(run, missing.MAP),
        "confusion": finding["errors"] is not None,
        "loss_analysis": bool(data.map_layers(run)),
    }
    return has_content.get(name, True)
