"""The layers of the map from the bottom: a density picture, lines, dots, images, a ring around the chosen sample.

Up to 20,000 samples in view are dots; of more, only the highest are dots, over a picture of the density of all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.query.aggregates import or_zero
from lake.query.filters import Filters
from lake.query.integers import holds_ids
from pages.charts import raster
from pages.charts.lasso import outline
from pages.charts.palette import CONTEXT
from pages.charts.projection_state import MapState
from pages.charts.raster import Extent
from pages.charts.scales import ColorScale, hex_to_rgb

DOTS, DOTS_OVER_DENSITY, DOTS_IN_SELECTION = 20_000, 1_500, 400
"""Maximum numbers of dots; over a picture below 2,000 in all, where Streamlit would switch to a canvas and redraw."""
IMAGES_ACROSS, IMAGES_DOWN = 24, 14
PICTURE_WIDTH, PICTURE_HEIGHT = 960, 600
MARGIN, GREY_OPACITY = 0.04, 0.45
RAYS = 10
POSITION = ("at_x", "at_y")
HAS_POSITION = pl.col("at_x").is_not_null() & pl.col("at_y").is_not_null()
ROWS_AT_ONCE = 500_000
"""Number of samples that are drawn into a picture at once, which limits memory use."""


@dataclass(frozen=True)
class Layers:
    """Frames to draw; `dense` if the dots are only the highest of the `in_view` samples."""

    picture: pl.DataFrame
    rays: pl.DataFrame
    dots: pl.DataFrame
    images: pl.DataFrame
    chosen_sample: pl.DataFrame
    outline: pl.DataFrame
    extent: Extent
    in_view: int
    dense: bool


def lay_out(
    samples: pl.DataFrame,
    filters: Filters,
    state: MapState,
    *,
    neighbors: pl.DataFrame,
    folder: str,
    picture_url: str,
    most_dots: int = DOTS,
) -> Layers:
    """The layers of a state of the map.

    `neighbors` are those of the chosen sample (`neighbor_id`), `folder` is the URL prefix of thumbnails and
    `picture_url` the URL of `draw` without parameters. If more than `most_dots` samples are in view, only
    the highest are dots.
    """
    points = _positions(samples, filters, state)
    extent = full_extent(samples, state)
    in_view, left_out = int(points["seen"].sum()), int(points["left_out"].sum())
    dense = in_view > most_dots
    chosen_sample = points.filter(HAS_POSITION, pl.col("sample_id") == (-1 if state.sample is None else state.sample))
    dots = (
        _over_density(points, chosen_sample, state) if dense else points.filter("seen").sort("size", nulls_last=False)
    )
    picture = _picture(state, filters, extent, picture_url)
    columns = dict.fromkeys(["label", "predicted", "loss", state.color, state.size])
    return Layers(
        picture=picture if dense or left_out else picture.clear(),
        rays=_rays(points, chosen_sample, neighbors),
        dots=dots.select("sample_id", *POSITION, "size", *columns),
        images=_images(points if state.show == "images" else points.clear(), state.view or extent, folder),
        chosen_sample=chosen_sample.select("sample_id", *POSITION),
        outline=outline(state.lasso),
        extent=extent,
        in_view=in_view,
        dense=dense,
    )


def draw(
    samples: pl.DataFrame, filters: Filters, state: MapState, scale: ColorScale, *, most_dots: int = DOTS
) -> bytes:
    """Return the picture under the dots as PNG: filtered-out samples in grey, too many for dots in colour."""
    points = _positions(samples, filters, state)
    extent = state.view or full_extent(samples, state)
    grey = np.array(hex_to_rgb(CONTEXT), dtype=float)
    below = _density(points, "left_out", extent, lambda part: np.broadcast_to(grey, (len(part), 3)))
    picture = below.to_picture(opacity=GREY_OPACITY)
    if points["seen"].sum() > most_dots:
        visible = _density(points, "seen", extent, lambda part: scale.rgb(part[state.color]))
        picture = raster.over(visible.to_picture(), picture)
    return raster.to_png(picture)


def keeps(samples: pl.DataFrame, filters: Filters, state: MapState) -> pl.Expr:
    """Return whether a sample passes the filters and has an isolated value; never null."""
    return filters.to_expr(samples.schema) & state.isolated()


def full_extent(samples: pl.DataFrame, state: MapState) -> Extent:
    """Return the extent of all samples of the run, with a margin."""
    ends = []
    for axis in state.axes:
        low, high = (or_zero(end) for end in (samples[axis].min(), samples[axis].max()))
        margin = MARGIN * (high - low) or 1.0
        ends += [low - margin, high + margin]
    return ends[0], ends[1], ends[2], ends[3]


def _positions(samples: pl.DataFrame, filters: Filters, state: MapState) -> pl.DataFrame:
    """Return the position and size value of each sample, and whether it is `seen` in the view or `left_out` by filters.

    Size by loss uses the expected loss of samples without a label. Other columns are not copied, because there may be
    many rows. A sample without a position is neither `seen` nor `left_out`. Ids to colour by are text.
    """
    x, y = state.axes
    size = pl.coalesce("loss", "expected_loss") if state.size == "loss" else pl.col(state.size)
    columns = dict.fromkeys(["sample_id", "label", "predicted", "loss", state.color, state.size, x, y])
    colored = [pl.col(state.color).cast(pl.String)] if holds_ids(samples[state.color]) else []
    is_kept, has_position = keeps(samples, filters, state), pl.col(x).is_not_null() & pl.col(y).is_not_null()
    return samples.select(
        *columns,
        at_x=x,
        at_y=y,
        size=size,
        seen=has_position & is_kept & state.within(state.view),
        left_out=has_position & ~is_kept,
    ).with_columns(colored)


def _over_density(points: pl.DataFrame, chosen_sample: pl.DataFrame, state: MapState) -> pl.DataFrame:
    """Return the dots over a density picture: the highest, those of the selection, and the chosen one."""
    highest = [_highest(points, pl.col("seen"), DOTS_OVER_DENSITY)]
    if state.has_selection:
        highest.append(_highest(points, pl.col("seen") & state.selected(), DOTS_IN_SELECTION))
    return pl.concat([*highest, chosen_sample]).unique("sample_id").sort("size", nulls_last=False)


def _highest(points: pl.DataFrame, which: pl.Expr, count: int) -> pl.DataFrame:
    """Return the samples of a mask with the largest size values; only these are copied."""
    rows = points.lazy().with_row_index("row").filter(which).select("row", "size")
    return points[rows.top_k(count, by="size").collect()["row"]]


def _density(
    points: pl.DataFrame, which: str, extent: Extent, rgb: Callable[[pl.DataFrame], NDArray[np.float64]]
) -> raster.Density:
    """Return the density of the samples of a mask, computed in parts so that memory use stays constant."""
    density = raster.Density(extent, width=PICTURE_WIDTH, height=PICTURE_HEIGHT)
    for rows in points.iter_slices(ROWS_AT_ONCE):
        part = rows.filter(which)
        density.add(part["at_x"].to_numpy(), part["at_y"].to_numpy(), rgb(part))
    return density


def _picture(state: MapState, filters: Filters, extent: Extent, url: str) -> pl.DataFrame:
    """Return the picture with its corners; its URL contains everything that it depends on."""
    left, right, bottom, top = state.view or extent
    picture_state = state.changed(box=None, lasso=(), sample=None, show="dots", size="loss")
    address = f"{url}?{urlencode(picture_state.to_query() | {'f': filters.to_text()})}"
    return pl.DataFrame({"url": [address], "left": left, "right": right, "bottom": bottom, "top": top})


def _rays(points: pl.DataFrame, chosen_sample: pl.DataFrame, neighbors: pl.DataFrame) -> pl.DataFrame:
    """Return lines from the chosen sample to its nearest neighbours in latent space."""
    near = points.filter(HAS_POSITION, pl.col("sample_id").is_in(neighbors["neighbor_id"].head(RAYS).implode()))
    ends = near.select(pl.col("at_x").alias("to_x"), pl.col("at_y").alias("to_y"))
    return chosen_sample.select(*POSITION).join(ends, how="cross")


def _images(points: pl.DataFrame, extent: Extent, folder: str) -> pl.DataFrame:
    """Return the highest sample of each cell of a grid over the view, with the URL of its thumbnail."""
    left, right, bottom, top = extent
    column = ((pl.col("at_x") - left) / (right - left) * IMAGES_ACROSS).floor().cast(pl.Int32)
    row = ((pl.col("at_y") - bottom) / (top - bottom) * IMAGES_DOWN).floor().cast(pl.Int32)
    largest = pl.col("size").fill_null(-1).arg_max()
    cells = points.lazy().with_row_index("at").filter("seen").group_by(column.alias("column"), row.alias("row"))
    highest = points[cells.agg(pl.col("at").get(largest)).collect()["at"].sort()]
    address = pl.lit(folder) + pl.col("sample_id").cast(pl.String) + ".png"
    return highest.select("sample_id", *POSITION, address.alias("url"))
