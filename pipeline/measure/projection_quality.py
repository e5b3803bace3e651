"""Measure the quality of a two-dimensional map: trustworthiness, continuity, and the share of true neighbours kept.

Venna & Kaski, "Local multidimensional scaling", 2006. Each measure is 1 if the neighbours are the same in both spaces.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from lake.search.vectors import to_unit
from lake.statistics import bootstrap_mean_interval
from pipeline.measure.equal_embeddings import group_equal

NEAREST = 15
ANCHORS, BLOCK = 2000, 64


def share_of_neighbors_kept(
    projection_N2: NDArray[np.float32], nearest_NR: NDArray[np.int64], group_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Share [N] of each sample's 15 neighbours on the map that are among its 15 neighbours in embedding space.

    `group_N` is from `group_equal`: of samples with equal embeddings, it does not matter which of them are near.
    """
    near_NR = nearest_in_projection(projection_N2)
    is_kept = (near_NR[:, :, None] == nearest_NR[:, None, : near_NR.shape[1]]).any(2)
    is_equal = (group_N[near_NR] == group_N[:, None]) & (group_N[:, None] >= 0)
    return np.asarray((is_kept | is_equal).mean(1))


def nearest_in_projection(projection_N2: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows [N, 15] of the nearest neighbours of each point, itself excluded."""
    count = min(NEAREST, len(projection_N2) - 1)
    return np.asarray(NearestNeighbors(n_neighbors=count).fit(projection_N2).kneighbors(return_distance=False))


def trustworthiness(
    truth_ND: NDArray[np.float32], view_NE: NDArray[np.float32], anchors_A: NDArray[np.int64], *, nearest: int = NEAREST
) -> NDArray[np.float64]:
    """For each anchor [A], at most 1: how near its neighbours in `view_NE` are in `truth_ND`.

    The mean is the trustworthiness; with the two spaces exchanged, it is the continuity. Distances are Euclidean;
    `nearest` must be less than N / 2.
    """
    size = len(truth_ND)
    worst = nearest * (2 * size - 3 * nearest - 1) / 2
    penalties = []
    for start in range(0, len(anchors_A), BLOCK):
        block = anchors_A[start : start + BLOCK]
        near = np.argpartition(_distances(view_NE, block), nearest, axis=1)[:, :nearest]
        distance = _distances(truth_ND, block)
        limit = np.take_along_axis(distance, near, axis=1)
        rank = (distance[:, None, :] < limit[:, :, None]).sum(2) + 1
        penalties.append(np.maximum(rank - nearest, 0).sum(1))
    return 1 - np.concatenate(penalties) / worst


def measure_projections(
    embedding_ND: NDArray[np.float32],
    projections: dict[str, NDArray[np.float32]],
    nearest_NR: NDArray[np.int64],
    *,
    seed: int,
) -> pl.DataFrame:
    """The table `map_quality` of the maps [N, 2] by name, with bootstrap intervals.

    Trustworthiness and continuity are measured on up to 2,000 samples.
    """
    unit_ND, groups = to_unit(embedding_ND), group_equal(embedding_ND)
    size = len(unit_ND)
    nearest = min(NEAREST, max(1, (size - 1) // 2 - 1))
    anchors = np.sort(np.random.default_rng(seed).permutation(size)[:ANCHORS])
    rows = []
    for view, projection_N2 in projections.items():
        measures = {
            "trustworthiness": trustworthiness(unit_ND, projection_N2, anchors, nearest=nearest),
            "continuity": trustworthiness(projection_N2, unit_ND, anchors, nearest=nearest),
            "neighbors_kept": share_of_neighbors_kept(projection_N2, nearest_NR, groups),
        }
        for measure, values in measures.items():
            low, high = bootstrap_mean_interval(values, seed=seed)
            rows.append(
                {"view": view, "measure": measure, "n": len(values), "value": values.mean(), "low": low, "high": high}
            )
    return pl.DataFrame(rows)


def _distances(points_ND: NDArray[np.float32], anchors_A: NDArray[np.int64]) -> NDArray[np.float32]:
    """Squared distances [A, N] of the anchors to all points; infinite to themselves."""
    own = points_ND[anchors_A]
    squared = (own**2).sum(1)[:, None] + (points_ND**2).sum(1)[None] - 2 * own @ points_ND.T
    squared[np.arange(len(anchors_A)), anchors_A] = np.inf
    return squared
