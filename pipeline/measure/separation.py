"""How far groups lie apart in latent space: linear probe, purity of the nearest, margin of centroids, silhouette.

Each is measured on labelled held-out samples and again with the groups shuffled among them, which is chance.
N samples, H held-out ones among them, D dimensions. A group is an integer, -1 where there is none.
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
    """Points [N, D] of every sample and the rows [N, 15] of the nearest of each."""

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
    """The table `separation`: every measure of every grouping in every space, over all and by label.

    A group of fewer than two held-out samples is too small to measure; a grouping of which two are not is left out.
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
                rows += [key | part for part in _parts(values, [label[i] or "" for i in at], by_chance, seed)]
    return make_frame("separation", rows)


def measurable(group_N: Rows, held_out_N: NDArray[np.bool_]) -> Rows:
    """The held-out samples of groups that have at least two of them, ascending."""
    rows = np.flatnonzero(held_out_N & (group_N >= 0))
    sizes = np.bincount(group_N[rows], minlength=1)
    return rows[sizes[group_N[rows]] >= 2]


def shuffle(group_N: Rows, held_out: Rows, *, seed: int) -> Rows:
    """The groups dealt anew among the held-out samples, and among the others that have one: each keeps its size."""
    rng, shuffled = np.random.default_rng(seed), group_N.copy()
    for part in (held_out, np.setdiff1d(np.flatnonzero(group_N >= 0), held_out)):
        shuffled[part] = rng.permutation(group_N[part])
    return shuffled


def measures(space: Space, group_N: Rows, held_out: Rows, *, seed: int) -> dict[str, tuple[Rows, Values]]:
    """The rows each measure was taken at and its value there, by name."""
    points_HD, group_H = to_common_scale(space.points_ND[held_out]), group_N[held_out]
    few = np.sort(np.random.default_rng(seed).permutation(len(held_out))[:SILHOUETTE_SAMPLES])
    found = {
        "probe": (held_out, probe(points_HD, group_H, seed=seed)),
        "margin": (held_out, margin(points_HD, group_H)),
    }
    share = purity(space.nearest_NR[held_out], group_N, group_H)
    if (known := ~np.isnan(share)).any():
        found["purity"] = (held_out[known], share[known])
    if 1 < len(np.unique(group_H[few])) < len(few):
        found["silhouette"] = (held_out[few], np.asarray(silhouette_samples(points_HD[few], group_H[few])))
    return found


def probe(points_HD: Values, group_H: Rows, *, seed: int) -> Values:
    """1 where a linear classifier that did not see the sample names its group, else 0 (ridge regression, 5 folds)."""
    _, sizes = np.unique(group_H, return_counts=True)
    folds = StratifiedKFold(int(min(FOLDS, sizes.min())), shuffle=True, random_state=seed)
    said = cross_val_predict(RidgeClassifier(), points_HD, group_H, cv=folds)
    return np.asarray(said == group_H, dtype=np.float64)


def purity(nearest_HR: Rows, group_N: Rows, group_H: Rows) -> Values:
    """Share of the labelled among the nearest that are of the sample's own group; nan where none is labelled."""
    near_HR = group_N[nearest_HR]
    own, known = (near_HR == group_H[:, None]).sum(1), (near_HR >= 0).sum(1)
    return np.where(known > 0, own / np.maximum(known, 1), np.nan)


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


def _parts(values: Values, labels: list[str], chance: float | None, seed: int) -> list[dict[str, object]]:
    """One row over all, with an empty label, and one for each label."""
    at = np.array(labels)
    parts = {"": values} | {name: values[at == name] for name in np.unique(at)}
    rows: list[dict[str, object]] = []
    for name, part in parts.items():
        low, high = bootstrap_mean_interval(part, resamples=500, seed=seed)
        row = {"label": str(name), "n": len(part), "value": float(part.mean()), "low": low, "high": high}
        rows.append(row | {"chance": chance if name == "" else None})
    return rows
