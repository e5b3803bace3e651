"""Overview: how good the model is, where it fails, and what to do, worst first."""

import polars as pl
import streamlit as st

from lake import queries
from lake.contracts import DATA_KINDS, LOSS_KINDS
from lake.statistics import bootstrap_mean_interval, wilson_interval
from lake.store import Run
from pages.ui import data
from pages.ui.finding_card import show_finding
from pages.ui.run_changes import show_changes
from pages.ui.words import GLOSSARY, number, percent, share_with_interval

AT_FIRST = 5
NAMES = {
    "mislabeled": "doubtful labels",
    "leakage": "held-out images that were trained on",
    "duplicate": "images that are there twice",
    "domain gap": "splits that differ",
    "under-represented": "kinds of images that are rare in training",
}


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
    """The headline numbers in one row, with 95 % intervals where they are estimates."""
    findings = data.table(run, "findings").filter(pl.col("covered_by").is_null(), pl.col("p").is_not_null())
    confirmed = int(findings["confirmed"].sum())
    losses = data.samples(run).filter(pl.col("split") == "test").select("loss").drop_nulls().collect()["loss"]
    right, loss = wilson_interval(int(total["hits"]), int(total["n"])), bootstrap_mean_interval(losses.to_numpy())
    calibration = queries.metric(run, "score", "calibration_error")
    unsure = len(findings) - confirmed
    shown = [
        ("Accuracy, test", percent(total["hits"] / total["n"]), f"{right[0] * 100:.1f} to {right[1] * 100:.1f}", None),
        ("Mean loss (nats)", number(total["mean_loss"]), f"{number(loss[0])} to {number(loss[1])}", GLOSSARY["loss"]),
        ("Calibration error", percent(calibration or 0), "0 is honest", GLOSSARY["calibration"]),
        ("Samples scored", f"{data.samples(run).select(pl.len()).collect().item():,}", "in every split", None),
        ("Findings confirmed", f"{confirmed}", f"{unsure} open", GLOSSARY["confirmed"]),
    ]
    for column, (label, value, below, explained) in zip(st.columns(len(shown)), shown, strict=True):
        column.metric(label, value, below, delta_color="off", delta_arrow="off", border=True, help=explained)


def show_findings(run: Run) -> None:
    """The findings that stand for themselves, confirmed ones first; the others after them and unranked."""
    findings = data.table(run, "findings").filter(pl.col("kind").is_in(LOSS_KINDS)).sort("finding_id")
    st.subheader("Findings, worst first")
    if findings.is_empty():
        st.info("No group of samples has a loss above chance: there is nothing to report.")
        return
    standing = findings.filter(pl.col("covered_by").is_null())
    sure = pl.col("confirmed").fill_null(value=False)
    confirmed, open_ = standing.filter(sure), standing.filter(~sure)
    everything = len(confirmed) > AT_FIRST and st.toggle(f"Show all {len(confirmed)}", key="all-findings")
    for finding in confirmed.head(len(confirmed) if everything else AT_FIRST).iter_rows(named=True):
        show_finding(run, finding)
    if len(open_):
        with st.expander(f"{len(open_)} not confirmed, or too few to tell", on_change="rerun") as expander:
            for finding in open_.iter_rows(named=True) if expander.open else ():
                show_finding(run, finding)
    if covered := len(findings) - len(standing):
        with st.expander(f"{covered} more are about the same samples as one of these"):
            st.dataframe(
                findings.filter(pl.col("covered_by").is_not_null()).select("covered_by", "name", "n", "lift"),
                hide_index=True,
                column_config={
                    "covered_by": st.column_config.NumberColumn("Same as", width="small"),
                    "name": st.column_config.TextColumn("Group", width="large"),
                    "n": st.column_config.NumberColumn("Samples", format="localized"),
                    "lift": st.column_config.NumberColumn("Lift", format="%.1f", help=GLOSSARY["lift"]),
                },
            )


def show_data_findings(run: Run) -> None:
    """Doubtful labels, copies, leaks, splits that differ, kinds of images that are rare in training."""
    findings = data.table(run, "findings").filter(pl.col("kind").is_in(DATA_KINDS)).sort("finding_id")
    st.subheader("About the data")
    for finding in findings.iter_rows(named=True):
        show_finding(run, finding)
    missing = [kind for kind in DATA_KINDS if kind not in findings["kind"]]
    if missing:
        st.caption(f"Looked for and not found: {', '.join(NAMES[kind] for kind in missing)}.")


def main() -> None:
    run = data.current_run()
    st.title("Overview")
    show_headline(run)
    show_findings(run)
    show_data_findings(run)
    show_changes(run)


main()
