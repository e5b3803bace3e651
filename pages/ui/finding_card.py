"""One finding as a card: the statement, its numbers, its hardest samples, what to do, and ways into the group."""

import polars as pl
import streamlit as st

from lake.contracts import LOSS_KINDS
from lake.filters import Filters
from lake.statistics import wilson_interval
from lake.store import Run
from lake.words import p_value
from pages.ui import data
from pages.ui.gallery import show_gallery
from pages.ui.navigation import address, page
from pages.ui.pooled import evidence
from pages.ui.words import GLOSSARY, percent, plain

EXAMPLES, CONFUSIONS = 8, 3
TARGETS = {
    "population_map": "On the map",
    "confusion": "In the matrix",
    "samples": "As a table",
    "loss_analysis": "Why",
}
Finding = dict[str, object]


def show_finding(run: Run, finding: Finding) -> None:
    """The card."""
    with st.container(border=True):
        rank = f"{finding['finding_id']} · " if finding["kind"] in LOSS_KINDS else ""
        st.markdown(f"**{rank}{plain(str(finding['name']))}** &nbsp; {_mark(finding)}")
        st.markdown(plain(str(finding["sentence"])))
        st.caption(" · ".join(_numbers(finding)), help=f"Lift: {GLOSSARY['lift']} Adjusted p: {GLOSSARY['adjusted p']}")
        if said := evidence(run, finding["filter"]):
            st.caption(f":material/gradient: {said[:1].upper()}{said[1:]}.", help=GLOSSARY["border"])
        st.markdown(f"**Do:** {plain(str(finding['action']))}")
        hardness = pl.coalesce("loss", "expected_loss")
        group = Filters.from_text(str(finding["filter"])).apply(data.samples(run))
        examples = group.sort(hardness, "sample_id", descending=[True, False]).head(EXAMPLES).collect()
        show_gallery(run, examples, key=f"finding-{finding['finding_id']}")
        with st.container(horizontal=True):
            for name, label in TARGETS.items():
                if name != "confusion" or finding["errors"] is not None:
                    st.page_link(page(name), label=label, query_params={**address(), "f": str(finding["filter"])})


def _mark(finding: Finding) -> str:
    if finding["p"] is None:
        return ":blue-badge[counted]"
    if finding["confirmed"] is None:
        return ":gray-badge[not enough evidence]"
    return ":green-badge[confirmed]" if finding["confirmed"] else ":gray-badge[not confirmed]"


def _numbers(finding: Finding) -> list[str]:
    """n, lift, error rate with their intervals, the p values, confusions and reasons with their counts."""
    n = _whole(finding["n"])
    said = [f"n {n:,} of {_whole(finding['population']):,}"]
    if finding["lift"] is not None:
        lift, low, high = (float(str(finding[key])) for key in ("lift", "lift_low", "lift_high"))
        said.append(f"lift {lift:.1f} ({low:.1f} to {high:.1f})")
    if finding["errors"] is not None and finding["kind"] != "confusion":
        errors = _whole(finding["errors"])
        ends = wilson_interval(errors, n)
        said.append(f"wrong {percent(errors / n)} ({ends[0] * 100:.0f} to {ends[1] * 100:.0f})")
    if finding["adjusted_p"] is not None:
        said.append(f"adjusted {p_value(float(str(finding['adjusted_p'])))}")
    if finding["class_matched_p"] is not None:
        said.append(f"harder than its classes {p_value(float(str(finding['class_matched_p'])))}")
    confusions = list(finding["confusion"])[:CONFUSIONS]  # type: ignore[call-overload]
    said += [plain(f"{cell['label']} called {cell['predicted']} {cell['n']:,}") for cell in confusions]
    reasons = list(finding["reasons"] or [])  # type: ignore[call-overload]
    if reasons:
        high_losses = sum(reason["n"] for reason in reasons)
        parts = ", ".join(f"{reason['reason']} {reason['n']:,}" for reason in reasons)
        said.append(f"why the {high_losses:,} losses above .69: {parts}")
    return said


def _whole(value: object) -> int:
    return int(str(value))
