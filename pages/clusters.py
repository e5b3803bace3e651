"""Groups: three clusterings, what sets each group apart in measured words, and which have a raised loss."""

import polars as pl
import streamlit as st

from lake.contracts.clusters import METHODS
from lake.contracts.rows import ClusterSummaryRow, PooledMapRow, rows_of
from lake.query import joined_samples, queries
from lake.query.aggregates import or_zero
from lake.query.filters import Filters
from lake.storage.store import Run
from pages.charts import charts
from pages.text.formatting import mix_text, number, plain, pluralize
from pages.text.glossary import GLOSSARY
from pages.text.groups import METHOD_NAMES, stability_in_words
from pages.text.missing import GROUPS, is_classified, say_gaps
from pages.ui.core import data, filters
from pages.ui.core.chart_registry import show_chart
from pages.ui.core.missing import show_missing
from pages.ui.core.rows import pick_row
from pages.ui.groups.cluster_quality import show_quality
from pages.ui.loss_maps import pooled
from pages.ui.samples.gallery import show_gallery, show_paged_gallery
from pages.ui.samples.versus import ATTRIBUTES, show_versus

IN_THE_GALLERY = 24
SIGNIFICANT = 0.05
PROPERTY_NOTE = (
    f" {ATTRIBUTES} A property is named only if it differs from all other samples (adjusted p < 0.05) by a Cliff's "
    "delta of 0.33 or more."
)


def show_answer(summaries: pl.DataFrame) -> None:
    """Show how many groups there are, how many have a raised loss, and the hardest."""
    if summaries["lift"].null_count() == len(summaries):
        st.markdown(f"## {pluralize(len(summaries), 'group')}; without labels, no loss is measured.")
        return
    raised = summaries.filter(pl.col("adjusted_p") < SIGNIFICANT).sort("lift", descending=True)
    verb = "has" if len(raised) == 1 else "have"
    sentence = f"{len(summaries)} groups; {len(raised)} {verb} a raised loss (adjusted p < 0.05)"
    if len(raised):
        worst = rows_of(raised, ClusterSummaryRow)[0]
        sentence += (
            f". Hardest: group {worst['cluster']} ({plain(mix_text(worst['class_mix']))}) at "
            f"**{worst['lift']:.1f} times** the average loss ({worst['lift_low']:.1f} to {worst['lift_high']:.1f})"
        )
    st.markdown(f"## {sentence}.")


def keep_passing(run: Run, method: str, summaries: pl.DataFrame) -> pl.DataFrame:
    """Return the groups with samples that pass the filters; show a message if there are none."""
    column = joined_samples.cluster_column(method)
    clusters = filters.filtered(run).select(pl.col(column).drop_nulls().unique()).collect()[column]
    passing = summaries.filter(pl.col("cluster").is_in(clusters.implode()))
    if passing.is_empty():
        st.info("No sample that passes the filters is in a group: loosen them in the sidebar.")
    elif len(passing) < len(summaries):
        st.caption(f"{len(passing):,} of {pluralize(len(summaries), 'group')} have samples that pass the filters.")
    return passing


def pick_group(summaries: pl.DataFrame, *, described: bool) -> ClusterSummaryRow:
    """Show the table of groups, with descriptions if properties were measured.

    Returns the selected group, by default the hardest.
    """
    ordered = summaries.sort("lift", descending=True, nulls_last=True)
    mixes = pl.Series("classes", [mix_text(mix) for mix in ordered["class_mix"]])
    stability = pl.Series("stability", [stability_in_words(value) for value in ordered["stability"]])
    table = ordered.with_columns(mixes, stability).select(
        "cluster", "classes", "n", "lift", "lift_low", "lift_high", "adjusted_p", "stability", "description"
    )
    table = table if described else table.drop("description")
    column = st.column_config
    return pick_row(
        ordered,
        table,
        ClusterSummaryRow,
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
            "stability": column.TextColumn("Found again", help=GLOSSARY["stability"]),
            "description": column.TextColumn("What sets it apart", width="large"),
        },
    )


def show_group(run: Run, method: str, summary: ClusterSummaryRow) -> None:
    """Show description, class mix and galleries of one group."""
    column = joined_samples.cluster_column(method)
    members = filters.filtered(run).filter(pl.col(column) == summary["cluster"])
    st.subheader(f"Group {summary['cluster']}: {plain(mix_text(summary['class_mix']))}")
    if run.has("properties"):
        description = summary["description"].rstrip(".")
        st.markdown(plain(f"{description[:1].upper()}{description[1:]}."))
    left, right = st.columns([1, 2], gap="large")
    with left:
        _show_mix(run, pl.DataFrame(summary["class_mix"], schema={"label": pl.String, "n": pl.Int64}))
        unlabeled = members.filter(pl.col("label").is_null()).collect()
        if len(unlabeled):
            mean = or_zero(unlabeled["expected_loss"].mean())
            expected = f", expected loss {number(mean)} nats" if is_classified(run) else ""
            st.caption(f"{pluralize(len(unlabeled), 'unlabeled member')}{expected}.")
    with right:
        show_galleries(run, members, data.distances(run, method))


def _show_mix(run: Run, mix: pl.DataFrame) -> None:
    """Show the labelled samples of a group by class; of many classes only the most frequent."""
    if mix.is_empty():
        st.caption("None of its samples has a label.")
        return
    show_chart(
        charts.bars(mix, x="n", y="label", x_title="Labelled samples", colors=(run.classes, run.groups)),
        key="mix",
        alt="Samples of the group by class",
    )
    if len(mix) > charts.MOST_ROWS:
        st.caption(f"The {charts.MOST_ROWS} most frequent of {len(mix):,} classes.")


def show_galleries(run: Run, members: pl.LazyFrame, distances: pl.DataFrame) -> None:
    """Show the members nearest to and farthest from the centre, of highest loss, and without a label."""
    with_distances = members.join(distances.lazy(), on="sample_id")
    orders = {
        "Most typical": with_distances.sort("distance", "sample_id"),
        "Farthest": with_distances.sort("distance", "sample_id", descending=[True, False]),
        "Highest loss": members.filter(queries.HELD_OUT).sort("loss", descending=True),
        "Unlabeled": members.filter(pl.col("label").is_null()).sort("expected_loss", descending=True),
    }
    frames = {title: view.head(IN_THE_GALLERY).collect() for title, view in orders.items()}
    filled = {title: frame for title, frame in frames.items() if len(frame)}
    for (title, frame), tab in zip(filled.items(), st.tabs(list(filled)), strict=True):
        with tab:
            show_gallery(run, frame, key=f"group-{title}", caption="loss")


def show_maps(run: Run, method: str, cluster: int) -> None:
    """Show where in the image the loss of the group is raised, compared with all other samples."""
    prefix = f"{Filters.of(**{joined_samples.cluster_column(method): str(cluster)}).to_text()};"
    finest = (data.map_layers(run) or [""])[0]
    pooled_maps = pooled.groups(run, finest).filter(pl.col("filter").str.starts_with(prefix))
    if len(pooled_maps):
        st.subheader("Where in the image its loss is raised", help=GLOSSARY["pooled"])
        pooled.show_pooled(run, pooled.of_group(run, rows_of(pooled_maps, PooledMapRow)[0]), finest, key="group")


def show_other(run: Run, method: str, cluster: int, summaries: pl.DataFrame) -> None:
    """Compare the group with another one in measured properties; nothing if there are none."""
    others = summaries.filter(pl.col("cluster") != cluster).sort("cluster")
    if others.is_empty() or not run.has("properties"):
        return
    st.subheader("Against another group")
    rows = rows_of(others, ClusterSummaryRow)
    names = {row["cluster"]: f"Group {row['cluster']}: {mix_text(row['class_mix'])}" for row in rows}
    other = st.selectbox("Other group", list(names), format_func=names.__getitem__, key=f"versus-{method}-{cluster}")
    column = joined_samples.cluster_column(method)
    members = data.samples(run).filter(pl.col(column).is_in([cluster, other])).collect()
    with_distances = members.join(data.distances(run, method), on="sample_id", maintain_order="left")
    show_versus(
        run, with_distances, with_distances[column] == cluster, (f"Group {cluster}", f"Group {other}"), order="distance"
    )


def show_noise(run: Run, method: str) -> None:
    """Show the samples with an embedding that are in no group, highest loss first."""
    column = joined_samples.cluster_column(method)
    noise = filters.filtered(run).filter(pl.col(column).is_null(), queries.EMBEDDED)
    n = noise.select(pl.len()).collect().item()
    if not n:
        return
    with st.expander(
        f"{n:,} samples are in no group: {METHOD_NAMES[method]} calls them noise", on_change="rerun"
    ) as expander:
        if expander.open:
            show_paged_gallery(run, noise.sort("loss", descending=True, nulls_last=True), key="noise")


def main() -> None:
    run = data.current_run()
    st.title("Groups")
    if show_missing(run, GROUPS):
        return
    method = st.segmented_control(
        "Method", METHODS, default="kmeans", required=True, format_func=METHOD_NAMES.__getitem__, key="method"
    )
    method = method or "kmeans"
    summaries = data.table(run, "cluster_summaries").filter(pl.col("method") == method)
    if summaries.is_empty():
        st.info(f"{METHOD_NAMES[method]} found no groups in this run.")
        return
    show_answer(summaries)
    if gaps := say_gaps(data.samples(run)):
        st.caption(gaps)
    show_quality(run, method)
    passing = keep_passing(run, method, summaries)
    if passing.is_empty():
        show_noise(run, method)
        return
    summary = pick_group(passing, described=run.has("properties"))
    cluster = int(summary["cluster"])
    st.caption(f"Select a row to open its group.{PROPERTY_NOTE if run.has('properties') else ''}")
    show_group(run, method, summary)
    show_other(run, method, cluster, summaries)
    show_maps(run, method, cluster)
    show_noise(run, method)


main()
