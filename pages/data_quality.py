"""Data quality: labels that are likely wrong, images that are there twice, and how far these lists can be believed."""

import polars as pl
import streamlit as st

from lake.contracts.quality import COPIES, TIERS
from lake.query import queries
from lake.storage.store import Run
from pages.text import missing
from pages.text.words import GLOSSARY, PERCENT, percent, share_with_interval
from pages.ui.core import data, filters
from pages.ui.loss_maps.checks import show_proofs
from pages.ui.review.copies import show_pairs
from pages.ui.review.review_queue import show_queue
from pages.ui.samples.gallery import show_paged_gallery

KINDS = {"label": "Likely wrong", "ambiguous": "Ambiguous"}
LISTED = {
    "label": "labels that {doubters}, most doubtful first.",
    "ambiguous": "{noun}s for which the label and another class are both likely, the most even first.",
}
ROWS = 300


def show_answer(run: Run) -> None:
    """How many labels are doubtful and how far that list can be believed; how many held-out images were trained on."""
    issues = data.table(run, "label_issues").filter(kind="label")
    judged = data.samples(run).filter(queries.HELD_OUT).select(pl.len()).collect().item()
    count = f"{len(issues):,} of {judged:,} labels"
    agreed = f"Model and neighbours agree on another class for {count}"
    said = agreed if run.has("neighbors") else f"The model alone contradicts {count}"
    st.markdown(f"## {said}{_believed(run)}{_leaked(run)}.")


def _leaked(run: Run) -> str:
    """How many held-out images were trained on, in words; nothing where copies could not be looked for."""
    if not missing.has(run, missing.COPIES):
        return ""
    leaks = data.samples(run).filter(queries.HELD_OUT & pl.col("leak")).select(pl.len()).collect().item()
    return f"; {leaks:,} held-out {'image has' if leaks == 1 else 'images have'} a copy in training"


def _believed(run: Run) -> str:
    """The measured precision of the list, in words."""
    found = data.table(run, "proofs").filter(subject="label issues", proof="precision, uniform").drop_nulls("value")
    if found.is_empty():
        return ""
    row = found.row(0, named=True)
    ends = f"{row['low'] * 100:.0f} to {row['high'] * 100:.0f}"
    return f" (of labels flipped on purpose, the first 100 of such a list held {percent(row['value'])}, {ends})"


def show_label_issues(run: Run) -> None:
    """The list as a gallery and as a table, most doubtful first."""
    kind = st.segmented_control(
        "List", list(KINDS), default="label", required=True, format_func=KINDS.__getitem__, key="issues"
    )
    issues = data.table(run, "label_issues").filter(kind=kind).drop("run_id", "kind").sort("rank")
    known = filters.current().apply(data.samples_of(run, issues["sample_id"]).lazy()).drop("label").collect()
    listed = issues.join(known, on="sample_id", maintain_order="left")
    if listed.is_empty():
        st.info("No such label passes the filters, or none was found in this run.")
        return
    doubters = "model and neighbours contradict" if run.has("neighbors") else "the model alone contradicts"
    what = LISTED[kind].format(doubters=doubters, noun=missing.noun(run))
    st.caption(f"{len(listed):,} samples, {what} Only labels the model was not trained on are judged.")
    show_paged_gallery(run, listed, key="issues-gallery", caption="score")
    number = st.column_config.NumberColumn
    near = ["neighbor_share", "likely_neighbor_share"] if run.has("neighbors") else []
    shares = ["self_confidence", "likely_confidence", *near, "expected_precision"]
    margin = ["aum"] if run.has("dynamics") else []
    st.dataframe(
        listed.head(ROWS).select("rank", "sample_id", "label", "likely", pl.col(shares) * 100, *margin, "score"),
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
        listed.select(issues.columns).write_csv(),
        f"label-issues-{kind}.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def show_copies(run: Run) -> None:
    """Accuracy with and without leaks, and every pair with what differs."""
    test = data.samples(run).filter(pl.col("split") == "test")
    found = {
        name: queries.accuracy(part).collect().row(0, named=True)
        for name, part in (("all", test), ("without", test.filter(~pl.col("leak"))))
    }
    pairs = data.table(run, "duplicates")
    copies = pairs.filter(pl.col("tier").is_in(COPIES))
    exact = int((copies["tier"] == "exact").sum())
    if not found["all"]["n"] or pairs.is_empty():
        st.info("No image was found twice in this run.")
        return
    shares = {name: share_with_interval(row["hits"], row["n"]) for name, row in found.items()}
    removed = found["all"]["n"] - found["without"]["n"]
    st.markdown(
        f"{len(copies):,} scored images have a copy, {exact:,} of them an exact one. {removed:,} of the "
        f"{found['all']['n']:,} test images were trained on: the model is right on **{shares['all']}** with them and "
        f"on **{shares['without']}** without them. {len(pairs) - len(copies):,} more are similar to another: look at "
        "them, they do not count as copies."
    )
    tiers = st.pills("Tiers", TIERS, selection_mode="multi", default=COPIES, key="tiers", bind="query-params")
    show_pairs(run, pairs.filter(pl.col("tier").is_in(tiers or TIERS)))


def main() -> None:
    run = data.current_run()
    st.title("Data quality")
    show_answer(run)
    labels, copies, reviews = st.tabs(["Label issues", "Duplicates and leakage", "Review queue"])
    with labels:
        show_proofs(run, "label issues")
        show_label_issues(run)
    with copies:
        if said := missing.say(run, missing.COPIES):
            st.info(said)
        else:
            show_proofs(run, "duplicates")
            show_copies(run)
    with reviews:
        show_queue(run)


main()
