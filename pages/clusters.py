"""Groups: three clusterings, what sets each group apart in measured words, and which have a raised loss."""

import polars as pl
import streamlit as st

from lake import queries
from lake.contracts import METHODS
from lake.store import Run
from pages.ui import charts, data, filters
from pages.ui.gallery import show_gallery
from pages.ui.words import GLOSSARY, number

IN_THE_GALLERY = 24
METHOD_NAMES = {"kmeans": "k-means", "bisecting": "Bisecting k-means", "hdbscan": "HDBSCAN"}
RAISED = 0.05


def show_answer(summaries: pl.DataFrame, noise: int) -> None:
    """How many groups there are, how many are harder than chance, and the hardest."""
    raised = summaries.filter(pl.col("adjusted_p") < RAISED).sort("lift", descending=True)
    have = "has" if len(raised) == 1 else "have"
    sentence = f"{len(summaries)} groups; {len(raised)} {have} a raised loss (adjusted p < .05)"
    if len(raised):
        worst = raised.row(0, named=True)
        sentence += (
            f". Hardest: group {worst['cluster']} ({mix_text(worst['class_mix'])}) at **{worst['lift']:.1f} times** "
            f"the average loss ({worst['lift_low']:.1f} to {worst['lift_high']:.1f})"
        )
    st.markdown(f"##### {sentence}.")
    if noise:
        st.caption(f"{noise:,} samples are in no group: HDBSCAN calls them noise.")


def mix_text(mix: list[dict[str, object]]) -> str:
    """The two most frequent classes with their share."""
    total = sum(int(str(part["n"])) for part in mix) or 1
    return ", ".join(f"{part['label']} {int(str(part['n'])) / total:.0%}" for part in mix[:2])


def pick_group(summaries: pl.DataFrame) -> int:
    """The table of groups; returns the number of the one the reader chose, at first the hardest."""
    ordered = summaries.sort("lift", descending=True, nulls_last=True)
    mixes = pl.Series("classes", [mix_text(mix) for mix in ordered["class_mix"]])
    table = ordered.with_columns(mixes).select(
        "cluster", "classes", "n", "lift", "lift_low", "lift_high", "adjusted_p", "description"
    )
    column = st.column_config
    state = st.dataframe(
        table,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="group-table",
        height=320,
        column_config={
            "cluster": column.NumberColumn("Group", width="small"),
            "classes": "Classes",
            "n": column.NumberColumn("Samples", format="localized"),
            "lift": column.NumberColumn("Lift", format="%.2f", help=GLOSSARY["lift"]),
            "lift_low": column.NumberColumn("95 % from", format="%.2f"),
            "lift_high": column.NumberColumn("to", format="%.2f"),
            "adjusted_p": column.NumberColumn("Adjusted p", format="%.2g", help=GLOSSARY["adjusted p"]),
            "description": column.TextColumn("What sets it apart", width="large"),
        },
    )
    rows = state["selection"]["rows"]
    return int(table["cluster"][rows[0] if rows else 0])


def show_group(run: Run, method: str, summary: dict[str, object]) -> None:
    """Description, class mix and galleries of one group."""
    column = queries.cluster_column(method)
    members = filters.filtered(run).filter(pl.col(column) == summary["cluster"])
    st.subheader(f"Group {summary['cluster']}: {mix_text(summary['class_mix'])}")  # type: ignore[arg-type]
    description = str(summary["description"]).rstrip(".")
    st.markdown(f"{description[:1].upper()}{description[1:]}.")
    left, right = st.columns([1, 2], gap="large")
    with left:
        mix = pl.DataFrame(summary["class_mix"])
        st.altair_chart(
            charts.bars(mix, x="n", y="label", x_title="Labelled samples", colors=(run.classes, run.groups)),
            key="mix",
            alt="Samples of the group by class",
        )
        unlabeled = members.filter(pl.col("label").is_null()).collect()
        if len(unlabeled):
            mean = float(unlabeled["expected_loss"].mean() or 0)  # type: ignore[arg-type]
            st.caption(f"{len(unlabeled):,} unlabeled members, expected loss {number(mean)} nats.")
    with right:
        tabs = st.tabs(["Most typical", "Highest loss", "Unlabeled"])
        medoids = pl.DataFrame({"sample_id": summary["medoids"]}, schema={"sample_id": pl.Int64}).lazy()
        views = [
            medoids.join(data.samples(run), on="sample_id", how="left", maintain_order="left"),
            members.filter(queries.HELD_OUT).sort("loss", descending=True),
            members.filter(pl.col("label").is_null()).sort("expected_loss", descending=True),
        ]
        for i, (tab, view) in enumerate(zip(tabs, views, strict=True)):
            with tab:
                show_gallery(run, view.head(IN_THE_GALLERY).collect(), key=f"group-{i}", caption="loss")


def main() -> None:
    run = data.current_run()
    st.title("Groups")
    method = st.segmented_control(
        "Method", METHODS, default="kmeans", required=True, format_func=METHOD_NAMES.__getitem__, key="method"
    )
    summaries = data.table(run, "cluster_summaries").filter(pl.col("method") == method)
    if summaries.is_empty():
        st.info(f"{METHOD_NAMES[method or 'kmeans']} found no groups in this run.")
        st.stop()
    column = queries.cluster_column(method or "kmeans")
    show_answer(summaries, data.samples(run).select(pl.col(column).null_count()).collect().item())
    cluster = pick_group(summaries)
    st.caption(
        "Select a row to open its group. Background is the border ring and object the centre of the image: a proxy. "
        "A property is named only if it differs from all other samples (adjusted p < .05) by a Cliff's delta of .33 "
        "or more."
    )
    show_group(run, method or "kmeans", summaries.filter(pl.col("cluster") == cluster).row(0, named=True))


main()
