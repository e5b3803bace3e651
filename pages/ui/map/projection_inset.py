"""A small map beside something else: where some samples lie among all of the run."""

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


def show_on_map(run: Run, found: pl.DataFrame, *, chosen: int | None, key: str) -> None:
    """The samples found in colour over all others in grey, with a ring around the chosen one."""
    filters = Filters.of(sample_id=[str(i) for i in found["sample_id"]])
    state, folder = MapState(color=projection_offers.color_columns(run)[0], sample=chosen), thumbnail_folder(run)
    samples, nobody = data.samples(run).collect(), data.neighbors(run, None)
    layers = projection_layers.lay_out(
        samples, filters, state, neighbors=nobody, folder=folder, picture_url=map_picture(run)
    )
    scale, sizes = data.color_scale(run, state.color), data.size_domain(run, state.size)
    chart = charts.population_map(layers, scale, sizes=sizes, folder=folder, start=state, height=HEIGHT)
    show_chart(chart, key=key, alt=f"Where the {len(found)} samples lie on the map, all others in grey")
