"""A small map that highlights some samples among all of the run."""

import polars as pl

from lake.query.filters import Filters
from lake.storage.store import Run
from pages.charts import charts, projection_layers
from pages.charts.projection_state import MapState
from pages.ui.core import data
from pages.ui.core.chart_registry import show_chart
from pages.ui.map import projection_offers
from pages.ui.session.addresses import map_picture, thumbnail_folder

HEIGHT = 300


def show_on_map(run: Run, highlighted: pl.DataFrame, *, chosen_id: int | None, key: str) -> None:
    """Show some samples in colour over all others in grey, with a ring around the chosen one."""
    filters = Filters.of(sample_id=[str(i) for i in highlighted["sample_id"]])
    state, folder = MapState(color=projection_offers.color_columns(run)[0], sample=chosen_id), thumbnail_folder(run)
    samples, no_neighbors = data.samples(run).collect(), data.neighbors(run, None)
    layers = projection_layers.lay_out(
        samples, filters, state, neighbors=no_neighbors, folder=folder, picture_url=map_picture(run)
    )
    scale, sizes = data.color_scale(run, state.color), data.size_domain(run, state.size)
    chart = charts.population_map(layers, scale, sizes=sizes, folder=folder, start=state, height=HEIGHT)
    show_chart(chart, key=key, alt=f"Where the {len(highlighted)} samples lie on the map, all others in grey")
