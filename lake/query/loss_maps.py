"""Queries on signed loss maps: the map of a sample, the mean map of a group, the share on the border.

Values are in nats: positive raises the loss, negative lowers it. Shapes: N samples, H x W cells.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.query.joined_samples import Tables
from lake.query.queries import HELD_OUT
from lake.statistics import Ratio, pooled_ratio

FLOOR_NATS = 0.02
"""A map without a cell above this has nothing to explain: the model is confident and correct."""
QUARTER = 0.25
"""Share of the cells that the occlusion check of a map blurs."""

MAPPED = HELD_OUT & (pl.col("split") != "train")
"""Samples that always have a map of their label; among training samples, only those that the model contradicts do."""


@dataclass(frozen=True)
class Maps:
    """The maps of samples at one layer, ordered by sample id."""

    sample_id: NDArray[np.int64]
    values_NHW: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.sample_id)

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "Maps":
        """Create the maps from rows of `scan_maps`, which may be empty."""
        ordered = rows.sort("sample_id")
        height, width = (int(rows[side][0]) if len(rows) else 0 for side in ("height", "width"))
        values = ordered["values"].explode().to_numpy().reshape(len(rows), height, width)
        return cls(ordered["sample_id"].to_numpy(), values)

    def of_samples(self, sample_id: NDArray[np.int64]) -> "Maps":
        """Return the maps of the given samples; samples without a map are skipped."""
        selected = np.isin(self.sample_id, sample_id)
        return Maps(self.sample_id[selected], self.values_NHW[selected])

    @property
    def max_abs(self) -> NDArray[np.float32]:
        """Largest absolute value of each map [N]."""
        return np.asarray(np.abs(self.values_NHW).max((1, 2), initial=0))

    @property
    def raising(self) -> NDArray[np.float64]:
        """Sum of the positive cells of each map [N], in nats."""
        return np.asarray(self.values_NHW.clip(min=0).sum((1, 2), dtype=np.float64))

    @property
    def raising_on_border(self) -> NDArray[np.float64]:
        """Sum of the positive cells on the border of each map [N], in nats."""
        border = border_of(*self.values_NHW.shape[1:])
        return np.asarray(self.values_NHW.clip(min=0)[:, border].sum(1, dtype=np.float64))

    def border_share(self) -> Ratio:
        """Return the share of what raises the loss, over all maps, that is on the border; nan if nothing raises it."""
        raising = self.raising
        if raising.sum() < FLOOR_NATS:
            return Ratio(len(self), math.nan, math.nan)
        return pooled_ratio(self.raising_on_border, raising)

    def mean(self) -> pl.DataFrame:
        """Return the mean map with one row per cell: row, column and value."""
        return to_cells(self.values_NHW.mean(0, dtype=np.float64))


def scan_maps(run: Tables, layer: str) -> pl.LazyFrame:
    """Return the rows of `loss_maps` at a layer that explain the label, or the prediction of an unlabeled sample."""
    labels, predictions = run.scan("samples").select("sample_id", "label"), run.scan("predictions")
    classes = predictions.select("sample_id", "predicted").join(labels, on="sample_id")
    maps = run.scan("loss_maps").filter(pl.col("layer") == layer)
    explained_maps = maps.join(classes.select("sample_id", explained=pl.coalesce("label", "predicted")), on="sample_id")
    return explained_maps.filter(pl.col("target") == pl.col("explained")).drop("explained")


def scan_map(run: Tables, sample_id: int, layer: str, target: str) -> pl.LazyFrame:
    """Return the row of `loss_maps` that explains the loss of one class for a sample; empty if it was not computed."""
    return run.scan("loss_maps").filter(
        pl.col("sample_id") == sample_id, pl.col("layer") == layer, pl.col("target") == target
    )


def map_sizes(run: Tables) -> pl.LazyFrame:
    """Return the size of the maps of each layer in cells: layer, height and width."""
    return run.scan("loss_maps").select("layer", "height", "width").unique().sort("layer")


def map_layers(run: Tables) -> list[str]:
    """Return the layers that have maps, finest first; empty if the model has no layers to explain."""
    sizes = map_sizes(run).collect()
    return sizes.sort(-pl.col("height") * pl.col("width"), "layer")["layer"].to_list()


def to_cells(values_HW: NDArray[np.floating]) -> pl.DataFrame:
    """Return a map with one row per cell: row, column and value."""
    row, column = np.indices(values_HW.shape)
    return pl.DataFrame({"row": row.ravel(), "column": column.ravel(), "value": values_HW.ravel().astype(np.float64)})


def border_of(height: int, width: int) -> NDArray[np.bool_]:
    """Return a mask of the outermost cells [H, W], a proxy for the background."""
    border = np.ones((height, width), bool)
    border[1:-1, 1:-1] = False
    return border


def border_and_centre(values_HW: NDArray[np.floating]) -> tuple[float, float]:
    """Return the sums of a map over its outermost cells and over all others, in nats."""
    border = border_of(*values_HW.shape)
    return float(values_HW[border].sum(dtype=np.float64)), float(values_HW[~border].sum(dtype=np.float64))


def reddest_quarter(values_NHW: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return a mask of the quarter of cells that raises the loss most, per map; with `-values`, that lowers it most."""
    flat = values_NHW.reshape(len(values_NHW), -1)
    count = max(1, round(QUARTER * flat.shape[1]))
    mask = np.zeros(flat.shape, bool)
    np.put_along_axis(mask, np.argsort(-flat, axis=1, kind="stable")[:, :count], values=True, axis=1)
    return mask.reshape(values_NHW.shape)


def quarter_effect(checked: pl.LazyFrame) -> pl.LazyFrame:
    """Count the checked rows of `loss_maps` (n) and those that the check confirms (hits).

    A map is confirmed if blurring the quarter that raises the loss most lowers it further than blurring an equal area
    elsewhere.
    """
    complete = checked.drop_nulls("loss_without_red")
    return complete.select(
        pl.len().cast(pl.Int64).alias("n"),
        (pl.col("loss_without_red") < pl.col("loss_without_other")).sum().cast(pl.Int64).alias("hits"),
    )
