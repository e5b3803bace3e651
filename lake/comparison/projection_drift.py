"""How far samples moved on the 2-D map between two runs, after the best alignment of the two maps.

The rotation, reflection, scale and offset of a map are arbitrary. The earlier map is therefore first aligned with the
later one by the similarity transform that minimises the sum of distances (orthogonal Procrustes, Schönemann 1966,
scipy; iteratively reweighted), so that a class that moved away does not pull the alignment along. Distances are given
as shares of the map's radius, the root mean square distance of its samples from their mean. Shape: [N, 2].
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.statistics import bootstrap_interval
from lake.text.formatting import percent

ROUNDS = 50
RESAMPLES = 500
ALIKE = 0.5
MOVED = 0.1
"""Share of the radius above which a class is reported as moved."""
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Alignment:
    """The rotation, reflection and scale that align the earlier map with the later one."""

    degrees: float
    """Counterclockwise rotation, -180 to 180; if mirrored, after negating y."""
    mirrored: bool
    scale: float
    radius: float
    """Radius of the later map, in its coordinates."""
    explained: float
    """Share of the variance of the later positions that the aligned earlier ones explain; 1 is the same map."""

    def sentence(self) -> str:
        """Describe the alignment, and whether the remaining distances can be interpreted as movement."""
        mirrored = "mirrored, " if self.mirrored else ""
        summary = (
            f"To align the earlier map with this one, it was {mirrored}turned by {self.degrees:.0f}° and scaled by "
            f"{self.scale:.2f}; it then explains {percent(max(0.0, self.explained), 0)} of the variance of positions"
        )
        if self.explained < ALIKE:
            return f"{summary}: the two are different drawings, so movement between them says little about the model."
        return f"{summary}, and the rest is movement."


def measure_moves(now: pl.LazyFrame, before: pl.LazyFrame) -> tuple[Alignment, pl.DataFrame]:
    """Return the alignment, and for each sample of both runs its aligned earlier position and how far it moved.

    Columns: sample_id, label, x, y, x_before, y_before, and as shares of the radius moved and moved_as_drawn (without
    alignment). Raises `AssertionError` if no sample is on both maps.
    """
    earlier = before.select("sample_id", x_before=pl.col("x"), y_before=pl.col("y"))
    samples = now.select("sample_id", "label", "x", "y").join(earlier, on="sample_id").sort("sample_id").collect()
    samples = samples.drop_nulls(["x", "y", "x_before", "y_before"])
    assert len(samples), "maps without a common sample cannot be aligned"
    positions, earlier_positions = (
        samples.select("x", "y").to_numpy(),
        samples.select("x_before", "y_before").to_numpy(),
    )
    aligned, rotation_22, scale = _align(earlier_positions, positions)
    spread = float(((positions - positions.mean(0)) ** 2).sum(1).mean())
    radius = math.sqrt(spread) or 1.0
    explained = 1 - float(((positions - aligned) ** 2).sum(1).mean()) / radius**2
    mirrored = bool(np.linalg.det(rotation_22) < 0)
    x_axis = rotation_22[0]  # image of the x axis of the earlier map
    alignment = Alignment(math.degrees(math.atan2(x_axis[1], x_axis[0])), mirrored, scale, radius, explained)
    return alignment, samples.with_columns(
        x_before=pl.Series(aligned[:, 0]),
        y_before=pl.Series(aligned[:, 1]),
        moved=pl.Series(np.hypot(*(positions - aligned).T) / radius),
        moved_as_drawn=pl.Series(np.hypot(*(positions - earlier_positions).T) / radius),
    )


def class_moves(moves: pl.DataFrame, radius: float) -> pl.DataFrame:
    """Return how far the centre of each class moved, farthest first.

    Columns: label, n, moved (a share of the radius), its 95 % bootstrap interval low and high, and the positions of the
    centre x, y, x_before and y_before.
    """
    rows = []
    for (label,), part in moves.drop_nulls("label").group_by("label", maintain_order=True):
        places = {name: part[name].mean() for name in ("x", "y", "x_before", "y_before")}
        step = part.select(pl.col("x") - pl.col("x_before"), pl.col("y") - pl.col("y_before")).to_numpy() / radius
        low, high = _length_interval(step)
        rows.append({"label": label, "n": len(part), "moved": float(np.hypot(*step.mean(0))), "low": low, "high": high})
        rows[-1] |= places
    numbers = dict.fromkeys(("moved", "low", "high", "x", "y", "x_before", "y_before"), pl.Float64)
    schema = {"label": pl.String, "n": pl.Int64} | numbers
    return pl.DataFrame(rows, schema=schema).sort("moved", "label", descending=[True, False])


def say_moves(classes: pl.DataFrame) -> str:
    """Describe in one sentence how many class centres moved by more than a tenth of the radius, and the farthest."""
    moved_count = len(classes.filter(pl.col("low") > MOVED))
    summary = (
        f"The centres of {moved_count} of {len(classes)} classes moved by more than {percent(MOVED, 0)} "
        "of the map's radius"
    )
    if classes.is_empty():
        return f"{summary}."
    farthest = classes.row(0, named=True)
    return (
        f"{summary}; the farthest, {farthest['label']}, by {percent(farthest['moved'])} "
        f"({100 * farthest['low']:.1f} to {100 * farthest['high']:.1f}; n {farthest['n']:,})."
    )


def _align(moving: Points, target: Points) -> tuple[Points, NDArray[np.float64], float]:
    """Align points with the target; return them, the rotation [2, 2] (rows: images of the axes) and the scale."""
    weight = np.ones(len(moving))
    for _ in range(ROUNDS):
        rotation_22, scale, shift = _fit(moving, target, weight / weight.sum())
        aligned = scale * moving @ rotation_22 + shift
        distance = np.hypot(*(target - aligned).T)
        weight = 1 / distance.clip(1e-6 * (target.std() or 1.0))
    return aligned, rotation_22, scale


def _fit(moving: Points, target: Points, weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, Points]:
    """Return rotation, scale and shift of the weighted least-squares similarity transform; the weights sum to 1."""
    from scipy.linalg import orthogonal_procrustes

    centre, target_centre = weight @ moving, weight @ target
    rotation_22, stretch = orthogonal_procrustes(weight[:, None] * (moving - centre), target - target_centre)
    spread = float(weight @ ((moving - centre) ** 2).sum(1))
    scale = float(stretch) / spread if spread else 1.0
    return rotation_22, scale, target_centre - scale * centre @ rotation_22


def _length_interval(step: Points) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the length of the mean step."""
    x, y = (np.ascontiguousarray(axis) for axis in step.T)
    return bootstrap_interval(
        lambda rows_BN: np.hypot(x[rows_BN].mean(1), y[rows_BN].mean(1)), len(step), resamples=RESAMPLES
    )
