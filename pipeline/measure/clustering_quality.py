"""Quality and stability of the clusterings: silhouette, agreement across halves, seeds and methods, share of noise.

Agreement is the adjusted Rand index (Hubert & Arabie 1985): 1 for identical partitions, 0 at chance level. A cluster is
stable if fits to random halves of the samples recover it: the mean of the largest Jaccard index in each half (Hennig
2007). Noise is not a cluster: samples that either clustering assigns to noise are excluded from an agreement.
"""

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score, silhouette_score

from lake.contracts.clusters import METHODS
from lake.contracts.tables import make_frame
from pipeline.engine.progress import Progress
from pipeline.measure.clustering import fit
from pipeline.settings import Settings

HALVES, SILHOUETTE_SAMPLES, SWEEP_SAMPLES = 5, 4000, 10_000
SWEEP = (5, 10, 15, 20, 30, 40)
SWEPT = ("kmeans", "bisecting")
Points = NDArray[np.float32]
Numbers = NDArray[np.int64]


def assess(
    points_NP: Points, clusterings: dict[str, Numbers], settings: Settings, progress: Progress
) -> dict[str, pl.DataFrame]:
    """The table `cluster_quality` without the column run_id, and `cluster_stability` (Jaccard by method and cluster).

    `clusterings` maps each method to the cluster of each row, -1 for noise. Measures that cannot be computed have no
    row.
    """
    rows = [
        _row(a, clusterings[a], "agreement", agreement(clusterings[a], clusterings[b]), of=b)
        for a, b in combinations(METHODS, 2)
    ]
    stable = []
    with progress.task("cluster quality", len(METHODS) + len(SWEPT) * len(SWEEP)) as task:
        for method in METHODS:
            halves = _fit_halves(method, points_NP, settings)
            rows += _measure(method, points_NP, clusterings[method], halves, settings)
            stable += [
                {"method": method, "cluster": i, "stability": value}
                for i, value in enumerate(stability(clusterings[method], halves))
            ]
            task.advance()
        rows += _sweep(points_NP, settings, task.advance)
    schema = {"method": pl.String, "cluster": pl.Int64, "stability": pl.Float64}
    return {
        "cluster_quality": make_frame("cluster_quality", rows).drop_nans("value"),
        "cluster_stability": pl.DataFrame(stable, schema=schema),
    }


def agreement(a: Numbers, b: Numbers) -> float:
    """Adjusted Rand index over the rows that both clusterings assign to a cluster; NaN if there are none."""
    both = (a >= 0) & (b >= 0)
    return float(adjusted_rand_score(a[both], b[both])) if both.any() else math.nan


def stability(cluster: Numbers, halves: list[tuple[Numbers, Numbers]]) -> NDArray[np.float64]:
    """For each cluster, its largest Jaccard index with a cluster of a half, averaged over the halves."""
    indices = [_largest_jaccard(cluster[rows], half_cluster, int(cluster.max()) + 1) for rows, half_cluster in halves]
    return np.mean(indices, axis=0) if indices else np.zeros(0)


def _largest_jaccard(cluster: Numbers, half_cluster: Numbers, count: int) -> NDArray[np.float64]:
    overlap = np.zeros((count + 1, int(half_cluster.max(initial=-1)) + 2))
    np.add.at(overlap, (cluster, half_cluster), 1)  # noise (-1) is the last row and the last column
    union = overlap.sum(1, keepdims=True) + overlap.sum(0) - overlap
    jaccard = (overlap / np.maximum(union, 1))[:-1, :-1]
    return np.asarray(jaccard.max(axis=1, initial=0))


def _fit_halves(method: str, points_NP: Points, settings: Settings) -> list[tuple[Numbers, Numbers]]:
    """Rows of random halves of the samples, and the clusters found by fitting each half alone."""
    rng = np.random.default_rng([settings.seed, 7])
    size = len(points_NP) // 2
    smaller = settings.model_copy(update={"hdbscan_min_cluster_size": max(2, settings.hdbscan_min_cluster_size // 2)})
    halves = [np.sort(rng.permutation(len(points_NP))[:size]) for _ in range(HALVES)]
    return [(rows, fit(method, points_NP[rows], smaller, seed=i + 1)[0]) for i, rows in enumerate(halves)]


def _measure(
    method: str, points_NP: Points, cluster: Numbers, halves: list[tuple[Numbers, Numbers]], settings: Settings
) -> list[dict[str, object]]:
    measures = {
        "silhouette": _silhouette(points_NP, cluster, settings.seed),
        "half_agreement": _mean_agreement(cluster, halves),
        "noise": float((cluster < 0).mean()),
    }
    if method in SWEPT:
        measures["seed_agreement"] = agreement(cluster, fit(method, points_NP, settings, seed=settings.seed + 1)[0])
    return [_row(method, cluster, name, value) for name, value in measures.items()]


def _mean_agreement(cluster: Numbers, halves: list[tuple[Numbers, Numbers]]) -> float:
    """Mean over the halves in which the agreement is defined; NaN if there are none."""
    agreements = [agreement(cluster[rows], half_cluster) for rows, half_cluster in halves]
    defined = [value for value in agreements if not math.isnan(value)]
    return float(np.mean(defined)) if defined else math.nan


def _sweep(points_NP: Points, settings: Settings, advance: Callable[[], None]) -> list[dict[str, object]]:
    """Silhouette and agreement across halves for other numbers of clusters, on a subset of the samples.

    If many points are equal, fewer clusters are found than requested; each number of clusters found is reported once.
    """
    few = points_NP[np.random.default_rng(settings.seed).permutation(len(points_NP))[:SWEEP_SAMPLES]]
    rows: dict[tuple[str, int], list[dict[str, object]]] = {}
    for method in SWEPT:
        for k in SWEEP:
            if k < len(few) // 2:
                swept_settings = settings.model_copy(update={"kmeans_clusters": k})
                cluster = fit(method, few, swept_settings)[0]
                if (method, int(cluster.max())) not in rows:
                    rows[method, int(cluster.max())] = _sweep_rows(method, few, cluster, swept_settings)
            advance()
    return [row for method_rows in rows.values() for row in method_rows]


def _sweep_rows(method: str, points_NP: Points, cluster: Numbers, settings: Settings) -> list[dict[str, object]]:
    swept = {
        "sweep_silhouette": _silhouette(points_NP, cluster, settings.seed),
        "sweep_half_agreement": _mean_agreement(cluster, _fit_halves(method, points_NP, settings)),
    }
    return [_row(method, cluster, name, value) for name, value in swept.items()]


def _silhouette(points_NP: Points, cluster: Numbers, seed: int) -> float:
    """Mean silhouette of a random subset of the clustered rows; NaN for fewer than two clusters."""
    rows = np.flatnonzero(cluster >= 0)
    few = np.random.default_rng(seed).permutation(rows)[:SILHOUETTE_SAMPLES]
    if not 1 < len(np.unique(cluster[few])) < len(few):
        return math.nan
    return float(silhouette_score(points_NP[few], cluster[few]))


def _row(method: str, cluster: Numbers, measure: str, value: float, *, of: str = "") -> dict[str, object]:
    return {
        "method": method,
        "clusters": int(cluster.max(initial=-1)) + 1,
        "measure": measure,
        "of": of,
        "value": value,
    }
