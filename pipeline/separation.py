"""How far groups lie apart in latent space: linear probe, purity of the nearest, margin of centroids, silhouette.

Each is measured on labelled held-out samples and again with the groups shuffled among them, which is chance.
N samples, H held-out ones among them, D dimensions. A group is an integer, -1 where there is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import silhouette_samples
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from lake.contracts import make_frame
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

    A grouping of which fewer than two groups have two held-out samples is left out.
    """
    rows: list[dict[str, object]] = []
    for grouping, group_N in groupings.items():
        held_out = np.flatnonzero(held_out_N & (group_N >= 0))
        sizes = np.bincount(group_N[held_out]) if len(held_out) else np.zeros(1, dtype=np.int64)
        if (sizes >= 2).sum() < 2 or ((sizes > 0) & (sizes < 2)).any():
            continue
        shuffled_N = shuffle(group_N, seed=seed)
        for name, space in spaces.items():
            chance = {m: float(v.mean()) for m, (_, v) in measures(space, shuffled_N, held_out, seed=seed).items()}
            for measure, (at, values) in measures(space, group_N, held_out, seed=seed).items():
                key = {"grouping": grouping, "space": name, "measure": measure}
                rows += [key | part for part in _parts(values, [label[i] or "" for i in at], chance[measure], seed)]
    return make_frame("separation", rows)


def shuffle(group_N: Rows, *, seed: int) -> Rows:
    """The groups dealt anew among the samples that have one."""
    known, shuffled = np.flatnonzero(group_N >= 0), group_N.copy()
    shuffled[known] = np.random.default_rng(seed).permutation(group_N[known])
    return shuffled


def measures(space: Space, group_N: Rows, held_out: Rows, *, seed: int) -> dict[str, tuple[Rows, Values]]:
    """The rows each measure was taken at and its value there, by name."""
    points_HD, group_H = space.points_ND[held_out].astype(np.float64), group_N[held_out]
    few = np.sort(np.random.default_rng(seed).permutation(len(held_out))[:SILHOUETTE_SAMPLES])
    found = {
        "probe": (held_out, probe(points_HD, group_H, seed=seed)),
        "purity": (held_out, purity(space.nearest_NR[held_out], group_N, group_H)),
        "margin": (held_out, margin(points_HD, group_H)),
    }
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
    """Share of the labelled among the nearest that are of the sample's own group; 0 where none is labelled."""
    near_HR = group_N[nearest_HR]
    own = (near_HR == group_H[:, None]).sum(1)
    return np.asarray(own / np.maximum((near_HR >= 0).sum(1), 1))


def margin(points_HD: Values, group_H: Rows) -> Values:
    """(d_other - d_own) / (d_other + d_own) of the distances to centroids: 1 at its own, 0 halfway, -1 at another."""
    groups, own = np.unique(group_H, return_inverse=True)
    centroids = np.stack([points_HD[own == i].mean(0) for i in range(len(groups))])
    distance_HG = np.linalg.norm(points_HD[:, None] - centroids[None], axis=2)
    rows = np.arange(len(own))
    d_own = distance_HG[rows, own]
    distance_HG[rows, own] = np.inf
    d_other = distance_HG.min(1)
    return np.asarray((d_other - d_own) / np.maximum(d_other + d_own, 1e-12))


def _parts(values: Values, labels: list[str], chance: float, seed: int) -> list[dict[str, object]]:
    """One row over all, with an empty label, and one for each label."""
    at = np.array(labels)
    parts = {"": values} | {name: values[at == name] for name in np.unique(at)}
    rows: list[dict[str, object]] = []
    for name, part in parts.items():
        low, high = bootstrap_mean_interval(part, resamples=500, seed=seed)
        row = {"label": str(name), "n": len(part), "value": float(part.mean()), "low": low, "high": high}
        rows.append(row | {"chance": chance if name == "" else None})
    return rows
