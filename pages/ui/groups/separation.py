"""Separation of groups and fidelity of the map: the summary, the figures, and misplaced samples."""

import polars as pl
import streamlit as st

from lake.contracts.tables import SEPARATION_MEASURES
from lake.storage.store import Run
from pages.text import separation
from pages.text.formatting import column_title, estimate, pluralize
from pages.ui.core import data
from pages.ui.samples.gallery import show_paged_gallery

MEASURE_NAMES = {
    "probe": "Linear probe: named right",
    "purity": "15 nearest of the same kind",
    "margin": "Margin of centroids",
    "silhouette": "Silhouette",
}
FIDELITY_NAMES = {
    "trustworthiness": "Trustworthiness",
    "continuity": "Continuity",
    "neighbors_kept": "Share of the 15 nearest kept",
}
ESTIMATE = pl.struct("value", "low", "high").map_elements(estimate, return_dtype=pl.String).alias("value")
FIDELITY_HELP = (
    "Trustworthiness: what is near on the map is near in latent space. Continuity: what is near in latent space is "
    "near on the map."
)
VIEW_NAMES = {"umap": "UMAP", "pca": "PCA"}
NOT_MEASURED = "This run has no figures of how far its groups lie apart: refresh to measure them."
NO_LABELS = "No sample has a label, so how far classes lie apart is not measured."


def show_answer(run: Run) -> None:
    """Show in one sentence how well the first grouping separates."""
    misplaced = data.misplaced(run, separation.first_group(run))
    sentence = separation.say_separation(run, data.table(run, "separation"), len(misplaced), data.embedding_size(run))
    st.markdown(f"## {sentence or (NOT_MEASURED if data.has_labels(run) else NO_LABELS)}")


def show_separation(run: Run) -> None:
    """Show every measure of a grouping in latent space and on the map, and the misplaced samples."""
    rows = data.table(run, "separation")
    st.subheader("How well they separate")
    if rows.is_empty():
        st.caption("Not measured in this run.")
        return
    groupings = [group for group in (*run.groups, "label") if group in rows["grouping"]]
    left, right = st.columns(2, vertical_alignment="bottom")
    grouping = left.selectbox("Groups", groupings, format_func=column_title, key="separation-grouping")
    label = right.selectbox("Of", ["", *run.classes], format_func=lambda v: v or "All classes", key="separation-label")
    measures = rows.filter(grouping=grouping, label=label)
    if measures.is_empty():
        st.caption("No held-out sample of this class was measured.")
        return
    order = pl.col("measure").cast(pl.Enum(SEPARATION_MEASURES))
    table = measures.sort(order, "space").select(
        pl.col("measure").replace_strict(MEASURE_NAMES),
        pl.col("space").replace_strict({"embedding": f"{data.embedding_size(run):,}-d", "umap": "Map"}),
        "n",
        ESTIMATE,
        "chance",
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "measure": "Measure",
            "space": st.column_config.TextColumn("In", width="small"),
            "n": number("Samples", format="localized"),
            "value": "Value (95 %)",
            "chance": number("Chance", format="%.3f", help="The same with the groups shuffled among the samples."),
        },
    )
    _show_misplaced(run, grouping, label)


def _show_misplaced(run: Run, grouping: str, label: str) -> None:
    """Show the misplaced held-out samples of all classes or of one."""
    misplaced = data.misplaced(run, grouping)
    members = data.samples(run).filter(pl.col("sample_id").is_in(misplaced)).collect()
    class_members = members.filter(pl.col("label") == label) if label else members
    title = f"{pluralize(len(class_members), 'held-out sample')} among {separation.say_other(run, grouping)}"
    with st.expander(title, on_change="rerun") as expander:
        if expander.open:
            show_paged_gallery(run, class_members.sort("loss", descending=True), key="misplaced")


def show_fidelity(run: Run) -> None:
    """Show how many near neighbours the map keeps, compared with principal components."""
    rows = data.table(run, "map_quality")
    sentence = separation.say_fidelity(rows, data.embedding_size(run))
    st.subheader("How far to believe the map")
    if rows.is_empty():
        st.caption(f"Not measured in this run. {sentence}")
        return
    st.markdown(f"{sentence} Colour by *Neighbors kept* to see where.")
    st.dataframe(
        rows.sort("measure", "view", descending=[True, True]).select(
            pl.col("measure").replace_strict(FIDELITY_NAMES),
            pl.col("view").replace_strict(VIEW_NAMES),
            ESTIMATE,
        ),
        hide_index=True,
        column_config={
            "measure": st.column_config.TextColumn("Measure", help=FIDELITY_HELP),
            "view": st.column_config.TextColumn("View", width="small"),
            "value": "Value (95 %)",
        },
    )
