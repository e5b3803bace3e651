"""Overview: how good the model is, where it fails, and what to do, worst first."""

import polars as pl
import streamlit as st

from lake import queries
from lake.filters import Filters
from lake.store import Run
from pages.ui import data
from pages.ui.gallery import show_gallery
from pages.ui.navigation import address, page
from pages.ui.words import GLOSSARY, number, percent, share_with_interval

EXAMPLES = 8
AT_FIRST = 5


def show_headline(run: Run) -> None:
    """The answer in one sentence, then the headline numbers."""
    test = data.samples(run).filter(pl.col("split") == "test")
    total = queries.accuracy(test).collect().row(0, named=True)
    if not total["n"]:
        st.info("This run has no labelled test samples.")
        return
    worst = queries.class_report(test).collect().row(0, named=True)
    confusions = queries.top_confusions(test).filter(pl.col("label") == worst["label"]).collect()
    sentence = (
        f"The model is right on **{share_with_interval(total['hits'], total['n'])}** of {total['n']:,} new images. "
        f"It fails most on **{worst['label']}**: {worst['n'] - worst['hits']:,} of {worst['n']:,} are wrong"
    )
    if len(confusions):
        top = confusions.row(0, named=True)
        wrong = worst["n"] - worst["hits"]
        sentence += f", and {percent(top['n'] / wrong)} of those are called **{top['predicted']}**"
    st.markdown(f"##### {sentence}.")
    show_metrics(run, total)


def show_metrics(run: Run, total: dict[str, float]) -> None:
    """The headline numbers in one row."""
    findings = data.table(run, "findings")
    calibration = queries.metric(run, "score", "calibration_error")
    columns = st.columns(5)
    columns[0].metric("Accuracy, test", percent(total["hits"] / total["n"]), border=True)
    columns[1].metric("Mean loss (nats)", number(total["mean_loss"]), border=True, help=GLOSSARY["loss"])
    columns[2].metric(
        "Calibration error",
        percent(calibration or 0),
        border=True,
        help="How far confidence is from the share right, over 15 bins of equal size.",
    )
    columns[3].metric("Samples scored", f"{data.samples(run).select(pl.len()).collect().item():,}", border=True)
    confirmed = int(findings["confirmed"].sum()) if len(findings) else 0
    columns[4].metric("Findings confirmed", f"{confirmed} of {len(findings)}", border=True, help=GLOSSARY["confirmed"])


def show_finding(run: Run, finding: dict[str, object]) -> None:
    """One card: the statement, its numbers, its worst examples, and ways into the group."""
    mark = ":green-badge[confirmed]" if finding["confirmed"] else ":gray-badge[not confirmed]"
    with st.container(border=True):
        st.markdown(f"**{finding['finding_id']} · {finding['name']}** &nbsp; {mark}")
        st.markdown(str(finding["sentence"]))
        st.caption(
            f"n {finding['n']:,} of {finding['population']:,} held-out · lift {finding['lift']:.1f} "
            f"({finding['lift_low']:.1f} to {finding['lift_high']:.1f}) · "
            f"adjusted p {number(float(str(finding['adjusted_p'])))} · **Do:** {finding['action']}"
        )
        group = Filters.from_text(str(finding["filter"])).apply(data.samples(run))
        examples = group.sort("loss", descending=True).head(EXAMPLES).collect()
        show_gallery(run, examples, key=f"finding-{finding['finding_id']}")
        for column, target, label in zip(
            st.columns([1, 1, 1, 3]),
            ("population_map", "samples", "loss_analysis"),
            ("On the map", "As a table", "Why"),
            strict=False,
        ):
            with column:
                st.page_link(page(target), label=label, query_params={**address(), "f": str(finding["filter"])})


def main() -> None:
    run = data.current_run()
    st.title("Overview")
    show_headline(run)
    findings = data.table(run, "findings").sort("finding_id")
    st.subheader("Findings, worst first")
    if findings.is_empty():
        st.info("No group of samples has a loss above chance: there is nothing to report.")
        return
    everything = len(findings) > AT_FIRST and st.toggle(f"Show all {len(findings)}", key="all-findings")
    for finding in findings.head(len(findings) if everything else AT_FIRST).iter_rows(named=True):
        show_finding(run, finding)


main()
