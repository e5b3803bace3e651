"""Movement on the map between two runs, after aligning the earlier map with the later one."""

import polars as pl
import streamlit as st

from lake.comparison import projection_drift
from lake.storage.store import Run
from pages.charts import charts, scales
from pages.text.formatting import PERCENT, plain
from pages.ui.core import comparisons, data
from pages.ui.core.chart_registry import show_chart
from pages.ui.samples.gallery import show_paged_gallery
from pages.ui.session.navigation import link

CONTEXT_DOTS = 3000
MAP_WIDTH, TABLE_WIDTH = 580, 400


def show_map_moves(run: Run, before: Run, now: pl.LazyFrame) -> None:
    """Show how the maps were aligned, how far class centres moved, and the samples that moved most."""
    alignment, all_moves = comparisons.map_moves(run, before)
    moves = all_moves.join(now.select("sample_id").collect(), on="sample_id", how="semi")
    classes = projection_drift.class_moves(moves, alignment.radius)
    escaped = classes.with_columns(pl.col("label").map_elements(plain, pl.String))
    st.markdown(f"{alignment.sentence()} {projection_drift.say_moves(escaped)}")
    context = moves.sample(min(len(moves), CONTEXT_DOTS), seed=0).select("x", "y")
    with st.container(horizontal=True, gap="small"):
        with st.container(width=MAP_WIDTH):
            show_chart(
                charts.class_moves(classes, context, (run.classes, run.groups)),
                key="class-moves",
                alt="Where the centre of each class was on the map and where it is",
            )
            farthest = f" The {charts.MOST_CENTRES} that moved farthest." if len(classes) > scales.MOST_VALUES else ""
            st.caption(
                "Rings: class centres on the earlier map, aligned. Dots: on this one. Grey: samples on this one."
                f"{farthest}"
            )
        with st.container(width=TABLE_WIDTH):
            _show_table(classes)
    st.subheader("The samples that moved most")
    members = data.samples(run).join(moves.lazy().select("sample_id", "moved"), on="sample_id")
    ordered = members.sort("moved", "sample_id", descending=[True, False]).collect()
    st.caption(f"{len(ordered):,} samples are on both maps. Under each: how far it moved as a share of the radius.")
    show_paged_gallery(run, ordered, key="moved-gallery", caption="moved")
    with st.container(horizontal=True):
        link("population_map", "Open this map", icon=":material/bubble_chart:")
        link("population_map", "Open the earlier map", icon=":material/bubble_chart:", run=before.run_id)


def _show_table(classes: pl.DataFrame) -> None:
    number = st.column_config.NumberColumn
    st.dataframe(
        classes.select("label", "n", pl.col("moved", "low", "high") * 100),
        hide_index=True,
        column_config={
            "label": "Class",
            "n": number("Samples", format="localized"),
            "moved": number("Moved", format=PERCENT, help="Of the map's radius, after the alignment."),
            "low": number("95 % from", format=PERCENT),
            "high": number("to", format=PERCENT),
        },
    )
