"""What lies on the map, from beneath: a picture of the many, lines, dots, images, a ring around the chosen one.

Up to 20,000 samples in view are dots; of more the highest are dots and all are a picture of their density.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.filters import Filters
from pages.ui import raster
from pages.ui.map_state import SIZES, MapState
from pages.ui.palette import CONTEXT
from pages.ui.raster import Extent
from pages.ui.scales import ColorScale, hex_to_rgb

DOTS, DOTS_OVER_DENSITY, DOTS_IN_BOX = 20_000, 1_500, 400
"""Over a picture fewer than 2,000 in all, at which Streamlit would change to a canvas and draw everything anew."""
IMAGES_ACROSS, IMAGES_DOWN = 24, 14
PICTURE_WIDTH, PICTURE_HEIGHT = 960, 600
MARGIN, GREY_OPACITY = 0.04, 0.45
RAYS = 10
PLACE = ("at_x", "at_y")


@dataclass(frozen=True)
class Layers:
    """Frames to draw; `dense` where the dots are but the highest of `in_view` samples."""

    picture: pl.DataFrame
    rays: pl.DataFrame
    dots: pl.DataFrame
    images: pl.DataFrame
    chosen: pl.DataFrame
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
    kept = placed.filter("kept")
    seen = kept.filter(state.within(state.view))
    dense = len(seen) > most_dots
    chosen = placed.filter(pl.col("sample_id") == (-1 if state.sample is None else state.sample))
    dots = _over_density(seen, chosen, state) if dense else seen.sort("size", nulls_last=False)
    picture = _picture(state, filters, extent, picture_url)
    columns = dict.fromkeys(["label", "predicted", "loss", state.color, state.size])
    return Layers(
        picture=picture if dense or len(kept) < len(placed) else picture.clear(),
        rays=_rays(placed, chosen, neighbors),
        dots=dots.select("sample_id", *PLACE, "size", *columns),
        images=_images(seen if state.show == "images" else seen.clear(), state.view or extent, folder),
        chosen=chosen.select("sample_id", *PLACE),
        extent=extent,
        in_view=len(seen),
        dense=dense,
    )


def draw(
    samples: pl.DataFrame, filters: Filters, state: MapState, scale: ColorScale, *, most_dots: int = DOTS
) -> bytes:
    """The picture under the dots as PNG: grey what the filters leave out, in colour what is too much for dots."""
    seen = _place(samples, filters, state).filter(state.within(state.view))
    kept, rest = seen.filter("kept"), seen.filter(~pl.col("kept"))
    extent = state.view or full_extent(samples, state)
    grey = np.broadcast_to(np.array(hex_to_rgb(CONTEXT), dtype=float), (len(rest), 3))
    below = _density(rest, grey, state, extent, opacity=GREY_OPACITY)
    if len(kept) <= most_dots:
        return raster.to_png(below)
    return raster.to_png(raster.over(_density(kept, scale.rgb(kept[state.color]), state, extent), below))


def keeps(samples: pl.DataFrame, filters: Filters, state: MapState) -> pl.Expr:
    """Whether a sample passes the filters and has an isolated value; never null."""
    return filters.to_expr(samples.schema) & state.isolated()


def full_extent(samples: pl.DataFrame, state: MapState) -> Extent:
    """The extent of every sample of the run, with a margin."""
    ends = []
    for axis in state.axes:
        low, high = (float(end or 0) for end in (samples[axis].min(), samples[axis].max()))  # type: ignore[arg-type]
        margin = MARGIN * (high - low) or 1.0
        ends += [low - margin, high + margin]
    return ends[0], ends[1], ends[2], ends[3]


def _place(samples: pl.DataFrame, filters: Filters, state: MapState) -> pl.DataFrame:
    """What is drawn of each sample that was placed: where it lies, whether it is `kept`, and what its size stands for.

    Of a sample without a loss that is the expected one. Other columns are left where they are, as there are many rows.
    """
    x, y = state.axes
    size = pl.coalesce("loss", "expected_loss") if state.size == "loss" else pl.col(state.size)
    columns = dict.fromkeys(["sample_id", "label", "predicted", "loss", state.color, state.size, x, y])
    kept = keeps(samples, filters, state)
    return samples.select(*columns, at_x=x, at_y=y, size=size, kept=kept).drop_nulls(PLACE)


def _over_density(seen: pl.DataFrame, chosen: pl.DataFrame, state: MapState) -> pl.DataFrame:
    """The dots that stay where there are too many: the highest, those of the box, and the chosen one."""
    boxed = seen.filter(state.within(state.box)) if state.box else seen.clear()
    staying = pl.concat([_highest(seen, DOTS_OVER_DENSITY), _highest(boxed, DOTS_IN_BOX), chosen])
    return staying.unique("sample_id").sort("size", nulls_last=False)


def _highest(seen: pl.DataFrame, count: int) -> pl.DataFrame:
    return seen.top_k(min(count, len(seen)), by="size")


def _density(
    frame: pl.DataFrame, rgb: NDArray[np.float64], state: MapState, extent: Extent, *, opacity: float = 1.0
) -> NDArray[np.uint8]:
    x, y = (frame[axis].to_numpy() for axis in state.axes)
    return raster.draw_density(x, y, rgb, extent, width=PICTURE_WIDTH, height=PICTURE_HEIGHT, opacity=opacity)


def _picture(state: MapState, filters: Filters, extent: Extent, url: str) -> pl.DataFrame:
    """One image from corner to corner of what it shows; its address says all that it depends on."""
    left, right, bottom, top = state.view or extent
    depends = state.changed(box=None, sample=None, show="dots", size=SIZES[0])
    address = f"{url}?{urlencode(depends.to_query() | {'f': filters.to_text()})}"
    return pl.DataFrame({"url": [address], "left": left, "right": right, "bottom": bottom, "top": top})


def _rays(placed: pl.DataFrame, chosen: pl.DataFrame, neighbors: pl.DataFrame) -> pl.DataFrame:
    """A line from the chosen sample to each of its nearest in the latent space."""
    near = placed.join(neighbors.head(RAYS), left_on="sample_id", right_on="neighbor_id", how="semi")
    ends = near.select(pl.col("at_x").alias("to_x"), pl.col("at_y").alias("to_y"))
    return chosen.select(*PLACE).join(ends, how="cross")


def _images(seen: pl.DataFrame, extent: Extent, folder: str) -> pl.DataFrame:
    """The highest sample of each cell of a grid over what is in view, with the address of its thumbnail."""
    left, right, bottom, top = extent
    column = ((pl.col("at_x") - left) / (right - left) * IMAGES_ACROSS).floor()
    row = ((pl.col("at_y") - bottom) / (top - bottom) * IMAGES_DOWN).floor()
    largest = pl.col("size").fill_null(-1).arg_max()
    in_cells = seen.group_by(column.alias("column"), row.alias("row"), maintain_order=True)
    highest = in_cells.agg(pl.col("sample_id", *PLACE).get(largest))
    address = pl.lit(folder) + pl.col("sample_id").cast(pl.String) + ".png"
    return highest.select("sample_id", *PLACE, address.alias("url"))
