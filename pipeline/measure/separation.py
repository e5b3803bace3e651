"""Measure how well groups separate in latent space: linear probe, neighbour purity, centroid margin, silhouette.

Each measure is computed on labelled held-out samples, and again with the groups shuffled among them as the chance
level.
Shapes: N samples, H of them held out, D dimensions. A group is an integer, -1 for none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import silhouette_samples
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from lake.contracts.tables import make_frame
from lake.search.vectors import to_common_scale
from lake.statistics import bootstrap_mean_interval

NEAREST, FOLDS, SILHOUETTE_SAMPLES = 15, 5, 4000
Rows = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Space:
    """Points [N, D] of all samples, and the rows [N, 15] of the nearest neighbours of each."""

    points_ND: NDArray[np.float32]
    nearest_NR: Rows


def measure_separation(
    spaces: Mapping[str, Space],
    groupings: Mapping[str, Rows],
    label: list[str | None],
    held_out_N: NDArray[np.bool_],
    *,
    seed: int,
) -> pl.DataFrame:
    """The table `separation`: each measure of each grouping in each space, overall and by label.

    A group with fewer than two held-out samples is not measured; a grouping with fewer than two measured groups is
    skipped.
    """
    rows: list[dict[str, object]] = []
    for grouping, group_N in groupings.items():
        held_out = measurable(group_N, held_out_N)
        if len(np.unique(group_N[held_out])) < 2:
            continue
        shuffled_N = shuffle(group_N, held_out, seed=seed)
        for name, space in spaces.items():
            chance = {m: float(v.mean()) for m, (_, v) in measures(space, shuffled_N, held_out, seed=seed).items()}
            for measure, (at, values) in measures(space, group_N, held_out, seed=seed).items():
                key = {"grouping": grouping, "space": name, "measure": measure}
                by_chance = chance.get(measure)
                rows += [key | row for row in _rows_by_label(values, [label[i] or "" for i in at], by_chance, seed)]
    return make_frame("separation", rows)


def measurable(group_N: Rows, held_out_N: NDArray[np.bool_]) -> Rows:
    """Rows of the held-out samples whose group has at least two of them, ascending."""
    rows = np.flatnonzero(held_out_N & (group_N >= 0))
    sizes = np.bincount(group_N[rows], minlength=1)
    return rows[sizes[group_N[rows]] >= 2]


def shuffle(group_N: Rows, held_out: Rows, *, seed: int) -> Rows:
    """The groups, permuted among the held-out samples and among all others that have one; each group keeps its size."""
    rng, shuffled = np.random.default_rng(seed), group_N.copy()
    for members in (held_out, np.setdiff1d(np.flatnonzero(group_N >= 0), held_out)):
        shuffled[members] = rng.permutation(group_N[members])
    return shuffled


def measures(space: Space, group_N: Rows, held_out: Rows, *, seed: int) -> dict[str, tuple[Rows, Values]]:
    """By name, the rows on which each measure was computed, and its values for them."""
    points_HD, group_H = to_common_scale(space.points_ND[held_out]), group_N[held_out]
    few = np.sort(np.random.default_rng(seed).permutation(len(held_out))[:SILHOUETTE_SAMPLES])
    result = {
        "probe": (held_out, probe(points_HD, group_H, seed=seed)),
        "margin": (held_out, margin(points_HD, group_H)),
    }
    share = purity(space.nearest_NR[held_out], group_N, group_H)
    if (defined := ~np.isnan(share)).any():
        result["purity"] = (held_out[defined], share[defined])
    if 1 < len(np.unique(group_H[few])) < len(few):
        result["silhouette"] = (held_out[few], np.asarray(silhouette_samples(points_HD[few], group_H[few])))
    return result


def probe(points_HD: Values, group_H: Rows, *, seed: int) -> Values:
    """1 if a linear classifier not trained on the sample predicts its group, else 0 (ridge regression, 5 folds)."""
    _, sizes = np.unique(group_H, return_counts=True)
    folds = StratifiedKFold(int(min(FOLDS, sizes.min())), shuffle=True, random_state=seed)
    predicted = cross_val_predict(RidgeClassifier(), points_HD, group_H, cv=folds)
    return np.asarray(predicted == group_H, dtype=np.float64)


def purity(nearest_HR: Rows, group_N: Rows, group_H: Rows) -> Values:
    """Share of the labelled neighbours that are in the sample's own group; NaN if none is labelled."""
    near_HR = group_N[nearest_HR]
    own, labelled = (near_HR == group_H[:, None]).sum(1), (near_HR >= 0).sum(1)
    return np.where(labelled > 0, own / np.maximum(labelled, 1), np.nan)


def margin(points_HD: Values, group_H: Rows) -> Values:
    """(d_other - d_own) / (d_other + d_own) of the distances to centroids: 1 at its own, 0 halfway, -1 at another."""
    groups, own = np.unique(group_H, return_inverse=True)
    centroids = np.stack([points_HD[own == i].mean(0) for i in range(len(groups))])
    distance_HG = cdist(points_HD, centroids)
    rows = np.arange(len(own))
    d_own = distance_HG[rows, own]
    distance_HG[rows, own] = np.inf
    d_other = distance_HG.min(1)
    return np.asarray((d_other - d_own) / np.maximum(d_other + d_own, 1e-12))


def _rows_by_label(values: Values, labels: list[str], chance: float | None, seed: int) -> list[dict[str, object]]:
    """One row for all samples, with an empty label, and one for each label."""
    at = np.array(labels)
    values_by_label = {"": values} | {name: values[at == name] for name in np.unique(at)}
    rows: list[dict[str, object]] = []
    for name, label_values in values_by_label.items():
        low, high = bootstrap_mean_interval(label_values, resamples=500, seed=seed)
        row = {
            "label": str(name),
            "n": len(label_values),
            "value": float(label_values.mean()),
            "low": low,
            "high": high,
        }
        rows.append(row | {"chance": chance if name == "" else None})
    return rows
