"""The review queue: one doubtful label after the other, a verdict on each, and what the verdicts say of the list."""

from dataclasses import replace

import polars as pl
import streamlit as st

from lake.contracts.rows import LabelIssueRow, ReviewRow, first_row, rows_of
from lake.errors import UserError
from lake.query.reviews import Review, add_reviews, judged_issues, latest, scan_reviews, standing
from lake.storage.rows_to_bytes import KINDS
from lake.storage.store import Run
from pages.text.words import number, percent, plain, share_with_interval
from pages.ui.core import data
from pages.ui.samples.exports import show_download
from pages.ui.samples.sample_original import show_original
from pages.ui.samples.sample_panel import describe, find_sample, show_image
from pages.ui.session.login import ask_reviewer, may_write

OTHER_VERDICTS = {"ambiguous": "Ambiguous", "fine": "Label is fine", "duplicate": "Duplicate", "exclude": "Exclude"}
PICTURE = 260


def show_queue(run: Run) -> None:
    """How far the review has come, the next sample with its buttons, and the verdicts to take away."""
    issues = data.table(run, "label_issues").filter(kind="label").sort("rank")
    reviews = scan_reviews(run.lake, run.dataset_id)
    verdicts = latest(reviews).collect()
    unseen = issues.join(verdicts, on="sample_id", how="anti", maintain_order="left")
    st.markdown(f"{len(issues) - len(unseen):,} of the {len(issues):,} doubtful labels are reviewed.{_precision(run)}")
    writable = may_write("verdicts")
    reviewer = ask_reviewer("reviewer") if writable else ""
    next_ = first_row(unseen, LabelIssueRow)
    if next_ is None:
        st.info("Every doubtful label of this run has a verdict.")
    elif writable:
        st.caption("The most doubtful comes first: a verdict on it is the most likely to mend a label.")
        _show_next(run, next_, reviewer)
    said = standing(reviews).filter(pl.col("verdict") != "in set").collect()
    if not said.is_empty():
        with st.container(horizontal=True):
            if writable:
                _offer_undo(run, rows_of(said.tail(1), ReviewRow)[0], reviewer)
            _offer_export(said)
        _show_record(said)


def _precision(run: Run) -> str:
    """How many labels that the lists of this and of earlier runs doubted were wrong, by the people who looked."""
    judged = judged_issues(run.lake, run.dataset_id)["verdict"]
    if judged.is_empty():
        return ""
    wrong = share_with_interval(int((judged == "wrong").sum()), len(judged))
    return f" Of {len(judged):,} such labels that people judged, in this run or an earlier one, **{wrong}** were wrong."


def _show_next(run: Run, issue: LabelIssueRow, reviewer: str) -> None:
    """The sample of highest rank without a verdict."""
    sample_id = issue["sample_id"]
    left, right = st.columns([1, 2], gap="large")
    with left.container(width=PICTURE):
        show_image(run, sample_id)
        show_original(run, sample_id)
    with right:
        row = find_sample(run, sample_id)
        said = f" · {describe(row)}" if row else ""
        st.markdown(f"**Number {issue['rank']} of the list: sample {sample_id}**{said}")
        st.caption(f"{_evidence(issue, near=run.has('neighbors'))} Score {number(issue['score'])}.")
        classes = [issue["likely"], *(c for c in run.classes if c not in (issue["likely"], issue["label"]))]
        right_class = st.selectbox("If the label is wrong, it is", classes, key=f"right-{sample_id}", width=240)
        note = st.text_input("Note", key=f"note-{sample_id}", max_chars=500)
        review = Review(run.dataset_id, sample_id, "fine", reviewer, note=note, run_id=run.run_id)
        with st.container(horizontal=True):
            if st.button(f"Wrong: {plain(right_class)}", type="primary", key="verdict-wrong"):
                _say(run, replace(review, verdict="wrong", label=right_class))
            for verdict, text in OTHER_VERDICTS.items():
                if st.button(text, key=f"verdict-{verdict}"):
                    _say(run, replace(review, verdict=verdict))


def _evidence(issue: LabelIssueRow, *, near: bool) -> str:
    """What speaks for the likely class: its probability, and neighbours where there are any."""
    likely, of_likely, of_label = (
        percent(share)
        for share in (issue["likely_confidence"], issue["likely_neighbor_share"], issue["neighbor_share"])
    )
    said = f"Likely {plain(issue['likely'])}: probability {likely}"
    return f"{said}, {of_likely} of its neighbours; the label has {of_label} of them." if near else f"{said}."


def _offer_undo(run: Run, last: ReviewRow, reviewer: str) -> None:
    """A button that takes the last verdict back."""
    sample_id = last["sample_id"]
    if st.button(f"Take back: sample {sample_id} is {last['verdict']}", key="undo", icon=":material/undo:"):
        _say(run, Review(run.dataset_id, sample_id, "undone", reviewer, undoes=last["review_id"]))


def _offer_export(reviews: pl.DataFrame) -> None:
    """The verdicts to take along."""
    for kind in KINDS:
        show_download(reviews.lazy(), kind, f"Verdicts as {kind}", name="reviews")


def _show_record(reviews: pl.DataFrame) -> None:
    """The verdicts that stand, the last of them first."""
    shown = reviews.reverse().select("reviewed_at", "sample_id", "verdict", "label", "reviewer", "note")
    st.dataframe(
        shown.head(100),
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


def _say(run: Run, review: Review) -> None:
    """Write the review and show the next sample; what is missing is said."""
    try:
        add_reviews(run.lake, [review])
    except UserError as error:
        st.error(plain(str(error)))
        return
    st.rerun()
