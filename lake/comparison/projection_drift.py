"""How far samples moved on the map from one run to another, after the best alignment of the two maps.

A new model draws its map anew, and how it is turned, mirrored, scaled and shifted means nothing; so the earlier map is
first laid over the later one by the similarity of least summed distance (orthogonal Procrustes, Schönemann 1966,
scipy; reweighted), which a class that moved away does not draw after it. Distances are shares of the map's radius: the
root mean square distance of its samples from their mean. Shape: [N, 2].
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.statistics import bootstrap_interval

ROUNDS = 50
RESAMPLES = 500
ALIKE = 0.5
MOVED = 0.1
"""Share of the radius from which on a class is said to have moved."""
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Alignment:
    """The turn, mirroring and scale that lay the earlier map over the later one."""

    degrees: float
    """Counterclockwise, -180..180; of a mirrored map after its y was negated."""
    mirrored: bool
    scale: float
    radius: float
    """Of the later map, in its coordinates."""
    explained: float
    """Share of the variance of the later map's places that the earlier ones give: 1 is the same map."""

    def sentence(self) -> str:
        """What had to be done to the earlier map, and whether what is left can be called movement."""
        mirrored = "mirrored" if self.mirrored else "not mirrored"
        said = (
            f"To lie over this map the earlier one was {mirrored}, turned by {self.degrees:.0f}° and scaled by "
            f"{self.scale:.2f}; then it gives {max(0.0, self.explained):.0%} of where samples lie"
        )
        if self.explained < ALIKE:
            return f"{said}: the two are different drawings, so movement between them says little about the model."
        return f"{said}, and what is left is movement."


def measure_moves(now: pl.LazyFrame, before: pl.LazyFrame) -> tuple[Alignment, pl.DataFrame]:
    """The alignment, and each sample of both runs with its place before (aligned) and how far it moved.

    Columns: sample_id, label, x, y, x_before, y_before, and as shares of the radius moved and moved_as_drawn (without
    the alignment). Raises `AssertionError` where no sample is on both maps.
    """
    was = before.select("sample_id", x_before=pl.col("x"), y_before=pl.col("y"))
    both = now.select("sample_id", "label", "x", "y").join(was, on="sample_id").sort("sample_id").collect()
    both = both.drop_nulls(["x", "y", "x_before", "y_before"])
    assert len(both), "maps without a common sample cannot be aligned"
    here, there = both.select("x", "y").to_numpy(), both.select("x_before", "y_before").to_numpy()
    aligned, turn_22, scale = _lay_over(there, here)
    spread = float(((here - here.mean(0)) ** 2).sum(1).mean())
    radius = math.sqrt(spread) or 1.0
    explained = 1 - float(((here - aligned) ** 2).sum(1).mean()) / radius**2
    mirrored = bool(np.linalg.det(turn_22) < 0)
    first = turn_22[0]  # where the x axis of the earlier map went
    alignment = Alignment(math.degrees(math.atan2(first[1], first[0])), mirrored, scale, radius, explained)
    return alignment, both.with_columns(
        x_before=pl.Series(aligned[:, 0]),
        y_before=pl.Series(aligned[:, 1]),
        moved=pl.Series(np.hypot(*(here - aligned).T) / radius),
        moved_as_drawn=pl.Series(np.hypot(*(here - there).T) / radius),
    )


def class_moves(moves: pl.DataFrame, radius: float) -> pl.DataFrame:
    """How far the centre of each class moved: label, n, moved, low, high, x, y, x_before, y_before; farthest first.

    `moved` is a share of the radius, low and high its 95 % bootstrap interval; the places are those of the centres.
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
    """How many class centres moved by more than a tenth of the radius, and the farthest, in one sentence."""
    moved = len(classes.filter(pl.col("low") > MOVED))
    said = f"The centres of {moved} of {len(classes)} classes moved by more than {MOVED:.0%} of the map's radius"
    if classes.is_empty():
        return f"{said}."
    top = classes.row(0, named=True)
    return (
        f"{said}; the farthest, {top['label']}, by {top['moved']:.1%} "
        f"({100 * top['low']:.1f} to {100 * top['high']:.1f}; n {top['n']:,})."
    )


def _lay_over(moving: Points, target: Points) -> tuple[Points, NDArray[np.float64], float]:
    """The moving points laid over the target, with the turn [2, 2] (rows: images of the axes) and the scale used."""
    weight = np.ones(len(moving))
    for _ in range(ROUNDS):
        turn_22, scale, shift = _fit(moving, target, weight / weight.sum())
        aligned = scale * moving @ turn_22 + shift
        distance = np.hypot(*(target - aligned).T)
        weight = 1 / distance.clip(1e-6 * (target.std() or 1.0))
    return aligned, turn_22, scale


def _fit(moving: Points, target: Points, weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, Points]:
    """Turn, scale and shift of the similarity of weighted least squares; the weights sum to 1."""
    from scipy.linalg import orthogonal_procrustes

    centre, goal = weight @ moving, weight @ target
    turn_22, stretch = orthogonal_procrustes(weight[:, None] * (moving - centre), target - goal)
    spread = float(weight @ ((moving - centre) ** 2).sum(1))
    scale = float(stretch) / spread if spread else 1.0
    return turn_22, scale, goal - scale * centre @ turn_22


def _length_interval(step: Points) -> tuple[float, float]:
    """95 % bootstrap interval of the length of the mean step."""
    x, y = (np.ascontiguousarray(along) for along in step.T)
    return bootstrap_interval(
        lambda rows_BN: np.hypot(x[rows_BN].mean(1), y[rows_BN].mean(1)), len(step), resamples=RESAMPLES
    )
