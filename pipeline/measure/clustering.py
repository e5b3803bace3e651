"""Three clusterings of the L2-normalised principal components: k-means, bisecting k-means, HDBSCAN."""

import warnings
from dataclasses import dataclass

import numpy as np
import polars as pl
from hdbscan import HDBSCAN
from numpy.typing import NDArray
from sklearn.cluster import BisectingKMeans, KMeans
from sklearn.exceptions import ConvergenceWarning

from lake.contracts.clusters import METHODS
from pipeline.settings import Settings

MEDOIDS = 12
DECIMALS = 5


@dataclass(frozen=True)
class Clustering:
    """Cluster index of each row (-1 for noise) and its membership strength (0-1)."""

    method: str
    cluster: NDArray[np.int64]
    strength: NDArray[np.float64]

    def distance(self, points_NP: NDArray[np.float32]) -> NDArray[np.float64]:
        """Distance [N] of each row to the mean of its cluster; NaN for noise."""
        distance = np.full(len(points_NP), np.nan)
        for number in np.unique(self.cluster[self.cluster >= 0]):
            members = self.cluster == number
            centre = points_NP[members].mean(0)
            distance[members] = np.linalg.norm(points_NP[members] - centre, axis=1)
        return distance


def compute_clusterings(points_NP: NDArray[np.float32], settings: Settings) -> list[Clustering]:
    """The three clusterings, with clusters numbered by decreasing size."""
    fitted = {method: fit(method, points_NP, settings) for method in METHODS}
    return [Clustering(method, _by_size(cluster), strength) for method, (cluster, strength) in fitted.items()]


def fit(
    method: str,
    points_NP: NDArray[np.float32],
    settings: Settings,
    *,
    clusters: int | None = None,
    seed: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cluster of each row (-1 for noise) and its membership strength, by one method.

    HDBSCAN chooses the number of clusters. For the others, it is at most half the number of rows and at most the number
    of distinct rows. If rows that differ only by rounding are counted as distinct, k-means finds fewer clusters than
    requested; they are renumbered without gaps.
    """
    if method == "hdbscan":
        return _by_density(points_NP, settings)
    k = min(clusters or settings.kmeans_clusters, len(points_NP) // 2)
    k = min(k, _differing(points_NP, k))
    seeded = {"n_init": 4, "random_state": settings.seed if seed is None else seed}
    model = (
        KMeans(k, **seeded)
        if method == "kmeans"
        else BisectingKMeans(k, bisecting_strategy="largest_cluster", **seeded)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer clusters found than requested
        cluster = model.fit_predict(points_NP)
    return np.unique(cluster, return_inverse=True)[1].astype(np.int64), np.ones(len(points_NP))


def _differing(points_NP: NDArray[np.float32], enough: int) -> int:
    """Number of unit-length rows that differ by more than rounding; a lower bound if that is already `enough`."""
    of_first = len(np.unique(points_NP[:, 0].round(DECIMALS)))
    return of_first if of_first >= enough else len(np.unique(points_NP.round(DECIMALS), axis=0))


def _by_density(points_NP: NDArray[np.float32], settings: Settings) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    size, neighbors = settings.hdbscan_min_cluster_size, min(10, len(points_NP) - 1)
    density = HDBSCAN(min_cluster_size=size, min_samples=neighbors, core_dist_n_jobs=settings.threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        density.fit(points_NP)
    return density.labels_.astype(np.int64), density.probabilities_.clip(0, 1).astype(np.float64)


def clusters_frame(
    sample_id: NDArray[np.int64], points_NP: NDArray[np.float32], clusterings: list[Clustering]
) -> pl.DataFrame:
    """The table `clusters` without the column run_id; noise is null."""
    frames = [
        pl.DataFrame(
            {
                "method": pl.repeat(clustering.method, len(sample_id), eager=True),
                "sample_id": sample_id,
                "cluster": pl.Series(clustering.cluster).replace(-1, None),
                "distance": pl.Series(clustering.distance(points_NP)).fill_nan(None),
                "strength": clustering.strength,
            }
        )
        for clustering in clusterings
    ]
    return pl.concat(frames)


def _by_size(cluster: NDArray[np.int64]) -> NDArray[np.int64]:
    numbers, counts = np.unique(cluster[cluster >= 0], return_counts=True)
    rank = {number: i for i, number in enumerate(numbers[np.argsort(-counts, kind="stable")])}
    return np.array([rank.get(number, -1) for number in cluster], dtype=np.int64)
