"""Population map: every sample in latent space, larger where the loss is higher; pick or box-select to look closer."""

import polars as pl
import streamlit as st

from lake import queries
from lake.contracts import METHODS
from lake.store import Run
from pages.ui import charts, data, filters
from pages.ui.gallery import show_gallery
from pages.ui.routes import thumbnail_folder
from pages.ui.sample_panel import draw_sample
from pages.ui.words import PERCENT, name, percent

IN_THE_GALLERY = 24
SIZES = ["loss", "expected_loss", "confidence"]


def color_choices(run: Run) -> list[str]:
    """Columns a reader may colour by."""
    clusters = [queries.cluster_column(method) for method in METHODS]
    return [
        *run.groups,
        "label",
        "predicted",
        "split",
        "correct",
        *clusters,
        "loss",
        "expected_loss",
        "confidence",
        "neighbors_kept",
        *queries.PROPERTIES,
    ]


def show_answer(run: Run) -> list[int]:
    """How well the first grouping separates, in one sentence; returns the samples that sit among others."""
    group = next(iter(run.groups), None)
    if group is None:
        return []
    mean, low, high, misplaced = data.purity(run, group)
    kinds = " and ".join(f"{value}s" for value in sorted(set(run.groups[group].values())))
    st.markdown(
        f"##### {kinds.capitalize()} separate: on average **{percent(mean)}** of the 15 nearest images in the 512-d "
        f"latent space are of the same kind ({low * 100:.1f} to {high * 100:.1f}). "
        f"{len(misplaced):,} samples have mostly the other kind around them."
    )
    return misplaced


def draw_map(run: Run, points: pl.DataFrame, color: str, size: str) -> dict[str, object]:
    """The map with its selections."""
    columns = {"sample_id", "x", "y", "label", "predicted", "loss", color}
    folder = pl.lit(thumbnail_folder(run)) + pl.col("sample_id").cast(pl.String) + ".png"
    sized = points.with_columns(pl.coalesce(size, "expected_loss").alias("size"), folder.alias("image"))
    sized = sized.select(*sorted(columns), "size", "image").sort("size", nulls_last=False)
    rest = data.samples(run).join(points.lazy().select("sample_id"), on="sample_id", how="anti")
    chart = charts.population_map(
        sized, rest.select("x", "y").collect(), color=color, size="size", colors=(run.classes, run.groups)
    )
    state = st.altair_chart(
        chart,
        on_select="rerun",
        selection_mode=["pick", "box"],
        key="map",
        alt=f"{len(points):,} samples on a two-dimensional map, coloured by {name(color)}",
    )
    return dict(state["selection"])


def chosen(points: pl.DataFrame, selection: dict[str, object]) -> pl.DataFrame:
    """The samples the reader picked or boxed; all of them before that."""
    picked, box = selection.get("pick") or [], selection.get("box") or {}
    if picked:
        return points.filter(pl.col("sample_id").is_in([int(p["sample_id"]) for p in picked if "sample_id" in p]))
    if {"x", "y"} <= set(box):
        return points.filter(pl.col("x").is_between(*box["x"]), pl.col("y").is_between(*box["y"]))
    return points


def show_composition(selected: pl.DataFrame, everything: pl.DataFrame, column: str) -> None:
    """Share of each value in the selection against all, with its lift."""

    def shares(frame: pl.DataFrame, alias: str) -> pl.DataFrame:
        return frame[column].drop_nulls().value_counts(normalize=True, name=alias)

    table = shares(selected, "selection").join(shares(everything, "all"), on=column)
    table = table.with_columns((pl.col("selection") / pl.col("all")).alias("lift")).sort("selection", descending=True)
    number = st.column_config.NumberColumn
    st.dataframe(
        table.head(10).with_columns(pl.col("selection", "all") * 100),
        hide_index=True,
        column_config={
            column: name(column),
            "selection": number("Here", format=PERCENT),
            "all": number("All", format=PERCENT),
            "lift": number("Lift", format="%.1f x"),
        },
    )


@st.fragment
def explore(run: Run, points: pl.DataFrame) -> None:
    """Map, selection and gallery; a click reruns only these."""
    first, second, _ = st.columns([1, 1, 2])
    color = first.selectbox("Colour", color_choices(run), format_func=name, key="map-color")
    size = second.selectbox("Size", SIZES, format_func=name, key="map-size")
    left, right = st.columns([9, 5], gap="medium")
    with left:
        selection = draw_map(run, points, color, size)
        st.caption(
            "Click a dot for its sample, drag a box for a group, double-click to let go. Dot size shows "
            f"{name(size).lower()}. Distances between far groups mean nothing on such a map; "
            f"{percent(float(points['neighbors_kept'].mean() or 0))} of true near neighbours are kept."  # type: ignore[arg-type]
        )
    selected = chosen(points, selection)
    with right:
        if len(selected) == 1:
            draw_sample(run, int(selected["sample_id"][0]))
        else:
            st.markdown(f"**{'Selection' if len(selected) < len(points) else 'All shown'}: {len(selected):,} samples**")
            show_composition(
                selected, points, "label" if selected["label"].null_count() < len(selected) else "predicted"
            )
    if len(selected) > 1:
        held_out = selected.filter(pl.col("out_of_sample"))
        st.markdown(f"**Highest loss first**, of the {len(held_out):,} held-out samples shown")
        shown = held_out.sort("loss", descending=True, nulls_last=True).head(IN_THE_GALLERY)
        show_gallery(run, shown, key="map-gallery")


def main() -> None:
    run = data.current_run()
    st.title("Population map")
    misplaced = show_answer(run)
    points = filters.filtered(run).collect()
    if points.is_empty():
        st.info("No sample passes the filters: loosen them in the sidebar.")
        st.stop()
    explore(run, points)
    if misplaced:
        with st.expander(f"{len(misplaced):,} samples among the other kind"):
            rows = data.samples(run).filter(pl.col("sample_id").is_in(misplaced[:IN_THE_GALLERY])).collect()
            show_gallery(run, rows, key="misplaced")


main()
