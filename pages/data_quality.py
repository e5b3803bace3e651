"""Data quality: labels that are likely wrong, duplicate images, and how reliable these lists are."""

import polars as pl
import streamlit as st

from lake.contracts.quality import COPIES, TIERS
from lake.exports.spreadsheet_csv import to_spreadsheet_csv
from lake.query import queries
from lake.storage.store import Run
from pages.text import missing
from pages.text.formatting import PERCENT, percent, share_with_interval
from pages.text.glossary import GLOSSARY
from pages.ui.core import data, filters
from pages.ui.loss_maps.checks import show_checks
from pages.ui.review.copies import show_pairs
from pages.ui.review.refused import show_refused, show_understood
from pages.ui.review.review_queue import show_queue
from pages.ui.review.shared_values import show_shared_values
from pages.ui.samples.gallery import show_paged_gallery

KINDS = {"label": "Likely wrong", "ambiguous": "Ambiguous"}
LIST_DESCRIPTIONS = {
    "label": "labels that {doubters}, most doubtful first.",
    "ambiguous": "{noun}s for which the label and another class are both likely, the most even first.",
}
ROWS = 300


def show_answer(run: Run) -> None:
    """Show how many labels are doubtful, how reliable that list is, and how many held-out images were trained on."""
    issues = data.table(run, "label_issues").filter(kind="label")
    if not data.has_labels(run):
        st.markdown("## No sample has a label, so none can be doubted.")
        return
    n_judged = data.samples(run).filter(queries.HELD_OUT).select(pl.len()).collect().item()
    count = f"{len(issues):,} of {n_judged:,} labels"
    agreement = f"Model and neighbours agree on another class for {count}"
    sentence = agreement if run.has("neighbors") else f"The model alone contradicts {count}"
    st.markdown(f"## {sentence}{_alone(run, issues)}{_believed(run)}{_leaked(run)}.")


def _alone(run: Run, issues: pl.DataFrame) -> str:
    """Return how many of the labels only the model contradicts, as they have no neighbours, in words; empty if none."""
    count = issues["neighbor_share"].null_count() if run.has("neighbors") else 0
    return f", {count:,} of them without an embedding, where the model alone does" if count else ""


def _leaked(run: Run) -> str:
    """Return how many held-out images were trained on, in words; empty if copies could not be searched for."""
    if not missing.has(run, missing.COPIES):
        return ""
    leaks = data.samples(run).filter(queries.HELD_OUT & pl.col("leak")).select(pl.len()).collect().item()
    return f"; {leaks:,} held-out {'image has' if leaks == 1 else 'images have'} a copy in training"


def _believed(run: Run) -> str:
    """Return the measured precision of the list, in words."""
    rows = data.table(run, "proofs").filter(subject="label issues", proof="precision, uniform").drop_nulls("value")
    if rows.is_empty():
        return ""
    row = rows.row(0, named=True)
    ends = f"{row['low'] * 100:.0f} to {row['high'] * 100:.0f}"
    return f" (of labels flipped on purpose, the first 100 of such a list held {percent(row['value'])}, {ends})"


def show_label_issues(run: Run) -> None:
    """Show the list as a gallery and as a table, most doubtful first."""
    kind = st.segmented_control(
        "List", list(KINDS), default="label", required=True, format_func=KINDS.__getitem__, key="issues"
    )
    issues = data.table(run, "label_issues").filter(kind=kind).drop("run_id", "kind").sort("rank")
    samples = filters.current().apply(data.samples_of(run, issues["sample_id"]).lazy()).drop("label").collect()
    issue_samples = issues.join(samples, on="sample_id", maintain_order="left")
    if issue_samples.is_empty():
        st.info("No such label passes the filters, or none was found in this run.")
        return
    doubters = "model and neighbours contradict" if run.has("neighbors") else "the model alone contradicts"
    description = LIST_DESCRIPTIONS[kind].format(doubters=doubters, noun=missing.noun(run))
    st.caption(f"{len(issue_samples):,} samples, {description} Only labels the model was not trained on are judged.")
    show_paged_gallery(run, issue_samples, key="issues-gallery", caption="score")
    number = st.column_config.NumberColumn
    neighbor_shares = ["neighbor_share", "likely_neighbor_share"] if run.has("neighbors") else []
    shares = ["self_confidence", "likely_confidence", *neighbor_shares, "expected_precision"]
    margin = ["aum"] if run.has("dynamics") else []
    st.dataframe(
        issue_samples.head(ROWS).select("rank", "sample_id", "label", "likely", pl.col(shares) * 100, *margin, "score"),
        hide_index=True,
        column_config={
            "rank": number("Rank", width="small"),
            "sample_id": number("Sample", format="%d"),
            "label": "Label",
            "likely": "Likely",
            "self_confidence": number("P(label)", format=PERCENT),
            "likely_confidence": number("P(likely)", format=PERCENT),
            "neighbor_share": number("Neighbours: label", format=PERCENT),
            "likely_neighbor_share": number("Neighbours: likely", format=PERCENT),
            "expected_precision": number("Expected precision", format=PERCENT, help=GLOSSARY["expected precision"]),
            "aum": number("AUM", format="%.1f", help=GLOSSARY["AUM"]),
            "score": number("Score", format="%.2f"),
        },
    )
    st.download_button(
        "Export this list as CSV",
        to_spreadsheet_csv(issue_samples.select(issues.columns)),
        f"label-issues-{kind}.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def show_copies(run: Run) -> None:
    """Show the accuracy with and without leaks, and every pair with its difference."""
    test = data.samples(run).filter(pl.col("split") == "test")
    accuracies = {
        name: queries.accuracy(part).collect().row(0, named=True)
        for name, part in (("all", test), ("without", test.filter(~pl.col("leak"))))
    }
    pairs = data.table(run, "duplicates")
    copies = pairs.filter(pl.col("tier").is_in(COPIES))
    exact = int((copies["tier"] == "exact").sum())
    if not accuracies["all"]["n"] or pairs.is_empty():
        st.info("No image was found twice in this run.")
        return
    shares = {name: share_with_interval(row["hits"], row["n"]) for name, row in accuracies.items()}
    n_leaks = accuracies["all"]["n"] - accuracies["without"]["n"]
    st.markdown(
        f"{len(copies):,} scored images have a copy, {exact:,} of them an exact one. {n_leaks:,} of the "
        f"{accuracies['all']['n']:,} test images were trained on: the model is right on **{shares['all']}** with them "
        f"and on **{shares['without']}** without them. {len(pairs) - len(copies):,} more are similar to another: look "
        "at them, they do not count as copies."
    )
    tiers = st.pills("Tiers", TIERS, selection_mode="multi", default=COPIES, key="tiers", bind="query-params")
    show_pairs(run, pairs.filter(pl.col("tier").is_in(tiers or TIERS)))


def main() -> None:
    run = data.current_run()
    st.title("Data quality")
    show_answer(run)
    show_refused(run)
    show_understood(run)
    labels, copies, reviews = st.tabs(["Label issues", "Duplicates and leakage", "Review queue"])
    with labels:
        show_checks(run, "label issues")
        show_label_issues(run)
    with copies:
        show_shared_values(run)
        if reason := missing.say(run, missing.COPIES):
            st.info(reason)
        else:
            show_checks(run, "duplicates")
            show_copies(run)
    with reviews:
        show_queue(run)


main()
