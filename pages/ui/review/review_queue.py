"""The review queue: one doubtful label at a time, a verdict on each, and the precision of the list by the verdicts."""

from dataclasses import replace

import polars as pl
import streamlit as st

from lake.contracts.rows import LabelIssueRow, ReviewRow, first_row, rows_of
from lake.errors import UserError
from lake.exports.rows_to_bytes import KINDS
from lake.query.reviews import Review, active_reviews, add_reviews, judged_issues, latest, scan_reviews
from lake.storage.store import Run
from pages.text.formatting import number, percent, plain, share_with_interval
from pages.ui.core import data
from pages.ui.samples.exports import show_download
from pages.ui.samples.sample_original import show_original
from pages.ui.samples.sample_panel import describe, find_sample, show_image
from pages.ui.session.login import ask_reviewer, may_write

OTHER_VERDICTS = {"ambiguous": "Ambiguous", "fine": "Label is fine", "duplicate": "Duplicate", "exclude": "Exclude"}
PICTURE = 260


def show_queue(run: Run) -> None:
    """Show the progress of the review, the next sample with its buttons, and the verdicts with their downloads."""
    issues = data.table(run, "label_issues").filter(kind="label").sort("rank")
    reviews = scan_reviews(run.lake, run.dataset_id)
    verdicts = latest(reviews).collect()
    unreviewed = issues.join(verdicts, on="sample_id", how="anti", maintain_order="left")
    reviewed = f"{len(issues) - len(unreviewed):,} of the {len(issues):,} doubtful labels are reviewed."
    st.markdown(f"{reviewed if len(issues) else 'This run has no doubtful labels.'}{_precision(run)}")
    writable = may_write("verdicts")
    reviewer = ask_reviewer("reviewer") if writable else ""
    issue = first_row(unreviewed, LabelIssueRow)
    if issue is None and len(issues):
        st.info("Every doubtful label of this run has a verdict.")
    elif issue is not None and writable:
        st.caption("The most doubtful comes first: a verdict on it is the most likely to correct a label.")
        _show_next(run, issue, reviewer)
    record = active_reviews(reviews).filter(pl.col("verdict") != "in set").collect()
    if not record.is_empty():
        with st.container(horizontal=True):
            if writable:
                _offer_undo(run, rows_of(record.tail(1), ReviewRow)[0], reviewer)
            _offer_export(record)
        _show_record(record)


def _precision(run: Run) -> str:
    """Return the share of doubtful labels, of this and of earlier runs, that reviewers found wrong."""
    issue_verdicts = judged_issues(run.lake, run.dataset_id)["verdict"]
    if issue_verdicts.is_empty():
        return ""
    wrong = share_with_interval(int((issue_verdicts == "wrong").sum()), len(issue_verdicts))
    return (
        f" Of {len(issue_verdicts):,} such labels that people judged, in this run or an earlier one, "
        f"**{wrong}** were wrong."
    )


def _show_next(run: Run, issue: LabelIssueRow, reviewer: str) -> None:
    """Show the most doubtful sample without a verdict."""
    sample_id = issue["sample_id"]
    left, right = st.columns([1, 2], gap="large")
    with left.container(width=PICTURE):
        show_image(run, sample_id)
        show_original(run, sample_id)
    with right:
        row = find_sample(run, sample_id)
        summary = f" · {describe(row)}" if row else ""
        st.markdown(f"**Number {issue['rank']} of the list: sample {sample_id}**{summary}")
        st.caption(f"{_evidence(issue, near=run.has('neighbors'))} Score {number(issue['score'])}.")
        classes = [issue["likely"], *(c for c in run.classes if c not in (issue["likely"], issue["label"]))]
        correct_class = st.selectbox("If the label is wrong, it is", classes, key=f"right-{sample_id}", width=240)
        note = st.text_input("Note", key=f"note-{sample_id}", max_chars=500)
        review = Review(run.dataset_id, sample_id, "fine", reviewer, note=note, run_id=run.run_id)
        with st.container(horizontal=True):
            if st.button(f"Wrong: {plain(correct_class)}", type="primary", key="verdict-wrong"):
                _save(run, replace(review, verdict="wrong", label=correct_class))
            for verdict, text in OTHER_VERDICTS.items():
                if st.button(text, key=f"verdict-{verdict}"):
                    _save(run, replace(review, verdict=verdict))


def _evidence(issue: LabelIssueRow, *, near: bool) -> str:
    """Return the evidence for the likely class: its probability and, if the run has them, its neighbours."""
    of_likely, of_label = issue["likely_neighbor_share"], issue["neighbor_share"]
    summary = f"Likely {plain(issue['likely'])}: probability {percent(issue['likely_confidence'])}"
    if not near or of_likely is None or of_label is None:
        return f"{summary}."
    return f"{summary}, {percent(of_likely)} of its neighbours; the label has {percent(of_label)} of them."


def _offer_undo(run: Run, last: ReviewRow, reviewer: str) -> None:
    """Show a button that undoes the last verdict."""
    sample_id = last["sample_id"]
    if st.button(f"Take back: sample {sample_id} is {last['verdict']}", key="undo", icon=":material/undo:"):
        _save(run, Review(run.dataset_id, sample_id, "undone", reviewer, undoes=last["review_id"]))


def _offer_export(reviews: pl.DataFrame) -> None:
    """Show buttons that download the verdicts."""
    for kind in KINDS:
        show_download(reviews.lazy(), kind, f"Verdicts as {kind}", name="reviews")


def _show_record(reviews: pl.DataFrame) -> None:
    """Show the current verdicts, newest first."""
    record = reviews.reverse().select("reviewed_at", "sample_id", "verdict", "label", "reviewer", "note")
    st.dataframe(
        record.head(100),
        hide_index=True,
        column_config={
            "reviewed_at": st.column_config.DatetimeColumn("When (UTC)", format="YYYY-MM-DD HH:mm"),
            "sample_id": st.column_config.NumberColumn("Sample", format="%d"),
            "verdict": "Verdict",
            "label": "Right class",
            "reviewer": "By",
            "note": "Note",
        },
    )


def _save(run: Run, review: Review) -> None:
    """Write the review and show the next sample; show an error if the review is incomplete."""
    try:
        add_reviews(run.lake, [review])
    except UserError as error:
        st.error(plain(str(error)))
        return
    st.rerun()
