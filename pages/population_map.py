"""Population map: every sample in latent space, larger where the loss is higher; pick or box-select to look closer."""

import polars as pl
import streamlit as st

from lake.exports.spreadsheet_csv import to_spreadsheet_csv
from lake.query import queries
from lake.query.integers import ids_as_text
from lake.storage.store import Run
from pages.charts import charts, projection_layers
from pages.charts.palette import DISTINCT
from pages.charts.projection_state import MapState
from pages.text.formatting import column_title
from pages.text.missing import MAP, say_gaps
from pages.ui.core import chart_registry, data, filters
from pages.ui.core.composition import show_composition
from pages.ui.core.missing import show_missing
from pages.ui.core.page_errors import show_lake_errors
from pages.ui.groups.separation import show_answer, show_fidelity, show_separation
from pages.ui.map import lasso_button, projection_offers, projection_session
from pages.ui.samples.gallery import show_paged_gallery
from pages.ui.samples.sample_panel import draw_sample
from pages.ui.session.addresses import map_picture, thumbnail_folder

LAYOUTS = {"umap": "UMAP", "pca": "PCA"}
SHOW_NAMES = {"dots": "Dots", "images": "Images"}
CONTROL_WIDTH, COLORED_WIDTH = 190, 260
MOST_ROWS = 100_000  # limit of the table in the browser


def show_controls(run: Run) -> None:
    """Show the controls of the map."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Colour",
            projection_offers.color_columns(run),
            format_func=column_title,
            key="map-color",
            width=CONTROL_WIDTH,
        )
        st.selectbox(
            "Size", projection_offers.size_columns(run), format_func=column_title, key="map-size", width=CONTROL_WIDTH
        )
        choices = {
            "View": ("map-layout", LAYOUTS),
            "Show": ("map-show", {s: SHOW_NAMES[s] for s in projection_offers.show_options(run)}),
        }
        for label, (key, names) in choices.items():
            if len(names) > 1:
                st.segmented_control(
                    label, list(names), format_func=names.__getitem__, key=key, required=True, width="content"
                )
        _choose_colored(run)
        state = projection_session.take_controls()
        lasso_button.show_lasso(
            state.view or projection_layers.full_extent(data.samples(run).collect(), state),
            chart=projection_session.chart_key(),
            drawn=bool(state.lasso),
            key=projection_session.LASSO,
            on_change=projection_session.take_lasso,
        )


def _choose_colored(run: Run) -> None:
    """Choose the coloured values, if there are more than a legend holds."""
    color = st.session_state["map-color"]
    if data.color_scale(run, color).others:
        st.multiselect(
            "Coloured values",
            data.color_values(run, color),
            key=projection_session.colored_key(color),
            max_selections=len(DISTINCT),
            placeholder=f"The {len(DISTINCT)} most frequent",
            help="Type to search; all others are grey. Click one in the legend to isolate it.",
            width=COLORED_WIDTH,
        )


def draw_map(run: Run, samples: pl.DataFrame, state: MapState) -> projection_layers.Layers:
    """Draw the map; a selection changes the state before the fragment reruns."""
    folder = thumbnail_folder(run)
    neighbors = data.neighbors(run, state.sample)
    layers = projection_layers.lay_out(
        samples, filters.current(), state, neighbors=neighbors, folder=folder, picture_url=map_picture(run)
    )
    scale = data.color_scale(run, state.color, state.colored)
    sizes = data.size_domain(run, state.size)
    chart = charts.population_map(layers, scale, sizes=sizes, folder=folder, start=projection_session.at_start())
    chart_registry.show_chart(
        chart,
        on_select=projection_session.take_selection,
        key=projection_session.chart_key(),
        alt=f"{layers.in_view:,} samples on a two-dimensional map, coloured by {column_title(state.color)}",
    )
    return layers


def show_legend(layers: projection_layers.Layers, state: MapState) -> None:
    """Explain how to read and use the map."""
    size = column_title(state.size).lower()
    description = (
        f"Colour shows where {layers.in_view:,} samples lie densest, dots the "
        f"{projection_layers.DOTS_OVER_DENSITY:,} of the highest {size}; zoom in to see more"
        if layers.dense
        else f"{layers.in_view:,} samples, larger where the {size} is higher"
    )
    st.caption(
        f"{description}. Click a dot for its sample, drag a box or draw a lasso for a group, turn the wheel to zoom, "
        "drag with Shift to move, click the legend to isolate a value, double-click for the whole. Distances between "
        "far groups mean nothing on such a map."
    )


def chosen_samples(samples: pl.DataFrame, state: MapState) -> pl.LazyFrame:
    """Return the samples in the box or the lasso, by default all visible ones; those without a position are not."""
    visible = samples.lazy().filter(projection_layers.keeps(samples, filters.current(), state), queries.EMBEDDED)
    return visible.filter(state.selected())


@st.fragment
@show_lake_errors()
def explore(run: Run) -> None:
    """Show controls, map, selection and gallery; a click reruns only these."""
    chart_registry.start_again()
    samples = data.samples(run).collect()
    show_controls(run)
    state = projection_session.current()
    panes, below = st.container(key="map-panes"), st.container()
    left, right = panes.columns([8, 5], gap="medium")
    selection = chosen_samples(samples, state)
    with below:  # sent first, so that its images load while the browser draws the map
        show_selection(run, selection, state)
    with left:
        show_legend(draw_map(run, samples, state), state)
    with right:
        if state.sample is not None:
            draw_sample(run, state.sample, on_map=True)
        else:
            show_composition(run, selection, samples, whole=not state.has_selection)
    projection_session.keep_address()


def show_selection(run: Run, selection: pl.LazyFrame, state: MapState) -> None:
    """Show the selected samples, highest loss first, and a table with its download."""
    held_out = selection.filter(pl.col("out_of_sample")).sort("loss", descending=True, nulls_last=True)
    state_name = "selected" if state.has_selection else "shown"
    n, n_held_out = selection.select(pl.len(), pl.col("out_of_sample").sum()).collect().row(0)
    if data.has_labels(run):
        st.markdown(f"**Highest loss first**, of the {n_held_out:,} held-out samples {state_name}")
    else:
        st.markdown(f"The {n_held_out:,} samples {state_name}")
    show_paged_gallery(run, held_out, key="map-gallery")
    with st.expander(f"Table of the {n:,} samples {state_name}", on_change="rerun", key="map-table") as table:
        if table.open:
            rows = selection.head(MOST_ROWS).drop(data.empty_columns(run))
            st.dataframe(ids_as_text(rows.collect()), hide_index=True, height=320)
            if n > MOST_ROWS:
                st.caption(f"The first {MOST_ROWS:,}; the file has all.")
            st.download_button(
                "Download as CSV", lambda: to_spreadsheet_csv(selection.collect()), "selection.csv", "text/csv"
            )


def main() -> None:
    run = data.current_run()
    st.title("Population map")
    if show_missing(run, MAP):
        return
    show_answer(run)
    if gaps := say_gaps(data.samples(run)):
        st.caption(gaps)
    projection_session.start(run)
    explore(run)
    left, right = st.columns([6, 5], gap="large")
    with left:
        show_separation(run)
    with right:
        show_fidelity(run)


main()
