"""Overview: how good the model is, where it fails, and what to do, worst first."""

import polars as pl
import streamlit as st

from lake.contracts.rows import FindingRow, rows_of
from lake.storage.store import Run
from pages.report.document import file_name
from pages.text import findings, headline
from pages.text.glossary import GLOSSARY
from pages.ui.comparison.run_changes import show_changes
from pages.ui.core import data, refusals
from pages.ui.core.figure import show_figure
from pages.ui.frame import tour
from pages.ui.groups.finding_card import show_finding
from pages.ui.review.refused import show_refused
from pages.ui.review.shared_values import show_shared_values

AT_FIRST = 5


def show_headline(run: Run) -> None:
    """Show the answer, with what could not be used if that is much, then the headline numbers in one row."""
    answer = data.headline(run)
    refused = headline.say_refused(refusals.refused(run), tested=answer is not None)
    if answer is None:
        untested = headline.say_no_test(run)
        st.info(untested if refused is None else f"{untested} {refused}")
        return
    sentence, figures = answer
    st.markdown(f"## {sentence}" if refused is None else f"## {sentence} {refused}")
    for column, figure in zip(st.columns(len(figures)), figures, strict=True):
        with column:
            show_figure(figure.title, figure.value, figure.below, figure.word)


def show_linked(run: Run) -> int | None:
    """Show the finding that the URL names above all others; return its id, or None if it names none."""
    finding_id = st.query_params.get("finding")
    if finding_id is None:
        return None
    rows = data.table(run, "findings").filter(pl.col("finding_id").cast(pl.String) == finding_id)
    if rows.is_empty():
        st.info("This run has no finding of that number: these are all it has.")
        return None
    st.subheader("The finding of this link")
    show_finding(run, rows_of(rows, FindingRow)[0])
    return int(rows["finding_id"][0])


def show_findings(run: Run, linked: int | None) -> None:
    """Show the findings, confirmed ones first, then unconfirmed and covered ones."""
    loss_findings = findings.loss_findings(data.table(run, "findings")).filter(pl.col("finding_id").ne_missing(linked))
    confirmed, unconfirmed, covered = findings.by_certainty(loss_findings)
    st.subheader("Findings, worst first")
    if not len(confirmed) + len(unconfirmed):
        st.info(findings.NOTHING_FOUND if data.has_labels(run) else findings.NOTHING_MEASURED)
        return
    show_all = len(confirmed) > AT_FIRST and st.toggle(f"Show all {len(confirmed)}", key="all-findings")
    for finding in rows_of(confirmed.head(len(confirmed) if show_all else AT_FIRST), FindingRow):
        show_finding(run, finding)
    if len(unconfirmed):
        with st.expander(f"{len(unconfirmed)} not confirmed, or too few to tell", on_change="rerun") as expander:
            for finding in rows_of(unconfirmed, FindingRow) if expander.open else ():
                show_finding(run, finding)
    if len(covered):
        with st.expander(f"{len(covered)} more are about the same samples as one of these"):
            st.dataframe(
                covered.select("covered_by", "name", "n", "lift"),
                hide_index=True,
                column_config={
                    "covered_by": st.column_config.NumberColumn("Same as", width="small"),
                    "name": st.column_config.TextColumn("Group", width="large"),
                    "n": st.column_config.NumberColumn("Samples", format="localized"),
                    "lift": st.column_config.NumberColumn("Lift", format="%.1f", help=GLOSSARY["lift"]),
                },
            )


def show_data_findings(run: Run, linked: int | None) -> None:
    """Show findings about the data, those that were not found, and files that could not be used."""
    data_findings = findings.data_findings(data.table(run, "findings"))
    st.subheader("About the data")
    for finding in rows_of(data_findings.filter(pl.col("finding_id").ne_missing(linked)), FindingRow):
        show_finding(run, finding)
    show_shared_values(run)
    if missing := findings.say_missing(run, data_findings):
        st.caption(missing)
    show_refused(run)


def main() -> None:
    run = data.current_run()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Overview", width="content")
        st.download_button(
            "Report (HTML)",
            lambda: data.report(run),
            file_name(run),
            "text/html",
            icon=":material/download:",
            help="This run as one file to read, forward and print; it needs no network.",
            on_click="ignore",
        )
    show_headline(run)
    refusals.show_failed_attempt()
    tour.show_start(run)
    linked = show_linked(run)
    show_findings(run, linked)
    show_data_findings(run, linked)
    show_changes(run)


main()
