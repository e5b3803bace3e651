"""What lies on the map, from beneath: a picture of the many, lines, dots, images, a ring around the chosen one.

Up to 20,000 samples in view are dots; of more the highest are dots and all are a picture of their density.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.query.aggregates import or_zero
from lake.query.filters import Filters
from pages.charts import raster
from pages.charts.lasso import outline
from pages.charts.palette import CONTEXT
from pages.charts.projection_state import MapState
from pages.charts.raster import Extent
from pages.charts.scales import ColorScale, hex_to_rgb

DOTS, DOTS_OVER_DENSITY, DOTS_IN_SELECTION = 20_000, 1_500, 400
"""Over a picture fewer than 2,000 in all, at which Streamlit would change to a canvas and draw everything anew."""
IMAGES_ACROSS, IMAGES_DOWN = 24, 14
PICTURE_WIDTH, PICTURE_HEIGHT = 960, 600
MARGIN, GREY_OPACITY = 0.04, 0.45
RAYS = 10
PLACE = ("at_x", "at_y")
PLACED = pl.col("at_x").is_not_null() & pl.col("at_y").is_not_null()
ROWS_AT_ONCE = 500_000
"""Of a picture's samples: what is computed of them is gone before the next are looked at."""


@dataclass(frozen=True)
class Layers:
    """Frames to draw; `dense` where the dots are but the highest of `in_view` samples."""

    picture: pl.DataFrame
    rays: pl.DataFrame
    dots: pl.DataFrame
    images: pl.DataFrame
    chosen: pl.DataFrame
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

    `neighbors` are those of the chosen sample (`neighbor_id`), `folder` is where thumbnails lie and `picture_url` the
    address of `draw`, without parameters. Of more than `most_dots` samples in view only the highest are dots.
    """
    placed = _place(samples, filters, state)
    extent = full_extent(samples, state)
    in_view, left_out = int(placed["seen"].sum()), int(placed["left_out"].sum())
    dense = in_view > most_dots
    chosen = placed.filter(PLACED, pl.col("sample_id") == (-1 if state.sample is None else state.sample))
    dots = _over_density(placed, chosen, state) if dense else placed.filter("seen").sort("size", nulls_last=False)
    picture = _picture(state, filters, extent, picture_url)
    columns = dict.fromkeys(["label", "predicted", "loss", state.color, state.size])
    return Layers(
        picture=picture if dense or left_out else picture.clear(),
        rays=_rays(placed, chosen, neighbors),
        dots=dots.select("sample_id", *PLACE, "size", *columns),
        images=_images(placed if state.show == "images" else placed.clear(), state.view or extent, folder),
        chosen=chosen.select("sample_id", *PLACE),
        outline=outline(state.lasso),
        extent=extent,
        in_view=in_view,
        dense=dense,
    )


def draw(
    samples: pl.DataFrame, filters: Filters, state: MapState, scale: ColorScale, *, most_dots: int = DOTS
) -> bytes:
    """The picture under the dots as PNG: grey what the filters leave out, in colour what is too much for dots."""
    placed = _place(samples, filters, state)
    extent = state.view or full_extent(samples, state)
    grey = np.array(hex_to_rgb(CONTEXT), dtype=float)
    below = _density(placed, "left_out", extent, lambda part: np.broadcast_to(grey, (len(part), 3)))
    picture = below.to_picture(opacity=GREY_OPACITY)
    if placed["seen"].sum() > most_dots:
        seen = _density(placed, "seen", extent, lambda part: scale.rgb(part[state.color]))
        picture = raster.over(seen.to_picture(), picture)
    return raster.to_png(picture)


def keeps(samples: pl.DataFrame, filters: Filters, state: MapState) -> pl.Expr:
    """Whether a sample passes the filters and has an isolated value; never null."""
    return filters.to_expr(samples.schema) & state.isolated()


def full_extent(samples: pl.DataFrame, state: MapState) -> Extent:
    """The extent of every sample of the run, with a margin."""
    ends = []
    for axis in state.axes:
        low, high = (or_zero(end) for end in (samples[axis].min(), samples[axis].max()))
        margin = MARGIN * (high - low) or 1.0
        ends += [low - margin, high + margin]
    return ends[0], ends[1], ends[2], ends[3]


def _place(samples: pl.DataFrame, filters: Filters, state: MapState) -> pl.DataFrame:
    """Where each sample lies, what its size stands for, and whether it is kept and `seen` in the view, or `left_out`.

    Of a sample without a loss that is the expected one. Rows and other columns are left where they are, as there are
    many; a sample that was not placed is neither `seen` nor `left_out`.
    """
    x, y = state.axes
    size = pl.coalesce("loss", "expected_loss") if state.size == "loss" else pl.col(state.size)
    columns = dict.fromkeys(["sample_id", "label", "predicted", "loss", state.color, state.size, x, y])
    kept, there = keeps(samples, filters, state), pl.col(x).is_not_null() & pl.col(y).is_not_null()
    return samples.select(
        *columns,
        at_x=x,
        at_y=y,
        size=size,
        seen=there & kept & state.within(state.view),
        left_out=there & ~kept,
    )


def _over_density(placed: pl.DataFrame, chosen: pl.DataFrame, state: MapState) -> pl.DataFrame:
    """The dots that stay where there are too many: the highest, those of the selection, and the chosen one."""
    highest = [_highest(placed, pl.col("seen"), DOTS_OVER_DENSITY)]
    if state.has_selection:
        highest.append(_highest(placed, pl.col("seen") & state.selected(), DOTS_IN_SELECTION))
    return pl.concat([*highest, chosen]).unique("sample_id").sort("size", nulls_last=False)


def _highest(placed: pl.DataFrame, which: pl.Expr, count: int) -> pl.DataFrame:
    """Of some of the samples those of the largest size; only they are copied."""
    rows = placed.lazy().with_row_index("row").filter(which).select("row", "size")
    return placed[rows.top_k(count, by="size").collect()["row"]]


def _density(
    placed: pl.DataFrame, which: str, extent: Extent, rgb: Callable[[pl.DataFrame], NDArray[np.float64]]
) -> raster.Density:
    """The density of some of the samples, in parts, so that memory does not grow with their number."""
    density = raster.Density(extent, width=PICTURE_WIDTH, height=PICTURE_HEIGHT)
    for rows in placed.iter_slices(ROWS_AT_ONCE):
        part = rows.filter(which)
        density.add(part["at_x"].to_numpy(), part["at_y"].to_numpy(), rgb(part))
    return density


def _picture(state: MapState, filters: Filters, extent: Extent, url: str) -> pl.DataFrame:
    """One image from corner to corner of what it shows; its address says all that it depends on."""
    left, right, bottom, top = state.view or extent
    depends = state.changed(box=None, lasso=(), sample=None, show="dots", size="loss")
    address = f"{url}?{urlencode(depends.to_query() | {'f': filters.to_text()})}"
    return pl.DataFrame({"url": [address], "left": left, "right": right, "bottom": bottom, "top": top})


def _rays(placed: pl.DataFrame, chosen: pl.DataFrame, neighbors: pl.DataFrame) -> pl.DataFrame:
    """A line from the chosen sample to each of its nearest in the latent space."""
    near = placed.filter(PLACED, pl.col("sample_id").is_in(neighbors["neighbor_id"].head(RAYS).implode()))
    ends = near.select(pl.col("at_x").alias("to_x"), pl.col("at_y").alias("to_y"))
    return chosen.select(*PLACE).join(ends, how="cross")


def _images(placed: pl.DataFrame, extent: Extent, folder: str) -> pl.DataFrame:
    """The highest sample of each cell of a grid over what is in view, with the address of its thumbnail."""
    left, right, bottom, top = extent
    column = ((pl.col("at_x") - left) / (right - left) * IMAGES_ACROSS).floor().cast(pl.Int32)
    row = ((pl.col("at_y") - bottom) / (top - bottom) * IMAGES_DOWN).floor().cast(pl.Int32)
    largest = pl.col("size").fill_null(-1).arg_max()
    cells = placed.lazy().with_row_index("at").filter("seen").group_by(column.alias("column"), row.alias("row"))
    highest = placed[cells.agg(pl.col("at").get(largest)).collect()["at"].sort()]
    address = pl.lit(folder) + pl.col("sample_id").cast(pl.String) + ".png"
    return highest.select("sample_id", *PLACE, address.alias("url"))
