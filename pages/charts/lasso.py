"""The lasso: a polygon drawn on the map, and the samples in it."""

from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Polygon = tuple[tuple[float, float], ...]
"""Corners in the coordinates of the map; the last is joined to the first."""
MAX_CORNERS = 60


def encloses(polygon: Polygon, x: str, y: str) -> pl.Expr:
    """Return whether a position (two columns) lies in a polygon, by the even-odd rule; null if it is null."""
    position = pl.struct(pl.col(x).alias("x"), pl.col(y).alias("y"))
    inside = position.map_batches(partial(_encloses, polygon), return_dtype=pl.Boolean, is_elementwise=True)
    return pl.when(pl.col(x).is_not_null() & pl.col(y).is_not_null()).then(inside)


def outline(polygon: Polygon) -> pl.DataFrame:
    """Return the corners in order, with the first repeated at the end; no rows without a polygon."""
    corners = [*polygon, *polygon[:1]]
    schema = {"at_x": pl.Float64, "at_y": pl.Float64}
    return pl.DataFrame(corners, schema=schema, orient="row").with_row_index("corner")


def _encloses(polygon: Polygon, positions: pl.Series) -> pl.Series:
    x_N, y_N = (positions.struct.field(axis).to_numpy() for axis in ("x", "y"))
    corners = np.array(polygon)
    (left, bottom), (right, top) = corners.min(0), corners.max(0)
    in_bounds = np.flatnonzero((x_N >= left) & (x_N <= right) & (y_N >= bottom) & (y_N <= top))
    inside = np.zeros(len(positions), dtype=bool)
    inside[in_bounds] = _crossed_oddly(corners, x_N[in_bounds], y_N[in_bounds])
    return pl.Series(inside)


def _crossed_oddly(corners_C2: Floats, x_N: Floats, y_N: Floats) -> NDArray[np.bool_]:
    """Return whether a ray to the right of each position crosses an odd number of edges (Shimrat 1962)."""
    odd = np.zeros(len(x_N), dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners_C2, np.roll(corners_C2, -1, axis=0), strict=True):
        between = (y0 > y_N) != (y1 > y_N)
        rows = np.flatnonzero(between)
        odd[rows] ^= x_N[rows] < (x1 - x0) * (y_N[rows] - y0) / (y1 - y0) + x0
    return odd
