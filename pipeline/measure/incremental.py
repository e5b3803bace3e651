"""Add new samples to known ones: neighbours, map positions and clusters, without moving any known sample.

Shapes: N samples, D features, R neighbours.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.clusters import METHODS
from lake.search.ann_index import SearchIndex
from lake.search.vectors import to_unit
from pipeline.engine.batch_map import Batch, cut, map_batches
from pipeline.engine.progress import Progress
from pipeline.measure.clustering import Clustering
from pipeline.measure.neighbors import BLOCK, SIMILARITIES, search_neighbors
from pipeline.settings import Settings

PLACED_BY = 15
ANCHORS = SIMILARITIES // BLOCK
"""Anchors compared at once."""
Rows = NDArray[np.int64]


def extend_neighbors(
    sample_id: Rows,
    embedding_ND: NDArray[np.float32],
    known_neighbors: pl.DataFrame,
    settings: Settings,
    progress: Progress,
    *,
    index: SearchIndex | None = None,
) -> tuple[Rows, NDArray[np.float32]]:
    """Row numbers and similarities [N, R] of the neighbours of all samples, given the table `neighbors` of some.

    Known lists are kept, with new samples merged in; a list that contains a removed sample is computed again.
    """
    count: int = known_neighbors.select(pl.col("rank").max()).item()
    ids = known_neighbors.select("sample_id").unique().to_series().sort().to_numpy()
    lists = known_neighbors.sort("sample_id", "rank")
    near, similarity = (lists[name].to_numpy().reshape(len(ids), count) for name in ("neighbor_id", "similarity"))
    is_complete = np.isin(near, sample_id).all(1) & np.isin(ids, sample_id)
    old, new = np.searchsorted(sample_id, ids[is_complete]), ~np.isin(sample_id, ids)
    rows, values = np.zeros((len(sample_id), count), np.int64), np.zeros((len(sample_id), count), np.float32)
    rows[old], values[old] = _sort_in(
        np.searchsorted(sample_id, near[is_complete]), similarity[is_complete], embedding_ND, old, np.flatnonzero(new)
    )
    searched_rows = np.setdiff1d(np.arange(len(sample_id)), old)
    rows[searched_rows], values[searched_rows] = search_neighbors(
        embedding_ND, count, settings, progress, rows=searched_rows, index=index
    )
    return rows, values


def _sort_in(
    near_MR: Rows, similarity_MR: NDArray[np.float64], embedding_ND: NDArray[np.float32], old: Rows, new: Rows
) -> tuple[Rows, NDArray[np.float32]]:
    """The lists of the rows `old`, with the rows `new` merged in where they are nearer."""
    if not len(new):
        return near_MR, similarity_MR.astype(np.float32)
    unit = to_unit(embedding_ND)
    count, size = near_MR.shape[1], max(1, SIMILARITIES // len(new))
    rows_MR, values_MR = np.empty(near_MR.shape, np.int64), np.empty(near_MR.shape, np.float32)
    for part in (slice(start, start + size) for start in range(0, len(old), size)):
        similarity_to_new = unit[old[part]] @ unit[new].T
        best = np.argpartition(-similarity_to_new, min(count, len(new)) - 1, axis=1)[:, :count]
        rows = np.concatenate([near_MR[part], new[best]], axis=1)
        values = np.concatenate([similarity_MR[part], np.take_along_axis(similarity_to_new, best, 1)], axis=1)
        order = np.argsort(-values, axis=1, kind="stable")[:, :count]
        rows_MR[part], values_MR[part] = np.take_along_axis(rows, order, 1), np.take_along_axis(values, order, 1)
    return rows_MR, values_MR


def place(
    position_N2: NDArray[np.float32], placed_N: NDArray[np.bool_], nearest_NR: Rows, similarity_NR: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The map [N, 2], with each sample that is not yet placed at the weighted mean of its nearest placed neighbours.

    Weights decay from 1 at the nearest of up to 15 neighbours, like the memberships in UMAP's graph, which is where
    UMAP's own transform starts (McInnes et al. 2018). A sample without placed neighbours is put at the mean of all
    placed samples.
    """
    placed = position_N2.copy()
    for row in np.flatnonzero(~placed_N):
        near = nearest_NR[row][placed_N[nearest_NR[row]]][:PLACED_BY]
        if not len(near):
            placed[row] = position_N2[placed_N].mean(0)
            continue
        distance = 1 - similarity_NR[row][placed_N[nearest_NR[row]]][:PLACED_BY].astype(np.float64)
        weight = np.exp(-(distance - distance[0]) / max(float(distance.mean() - distance[0]), 1e-6))
        placed[row] = np.average(position_N2[near], axis=0, weights=weight)
    return placed


def continue_axes(embedding_ND: NDArray[np.float32], known_N: NDArray[np.bool_], axes_N2: NDArray[np.float32]) -> None:
    """Fill in, in place, the principal components of the new samples on the axes of the known ones.

    The components are linear in the unit-length embedding, so least squares over the known samples recovers the axes.
    """
    unit = to_unit(embedding_ND)
    affine = np.column_stack([unit, np.ones(len(unit))])
    solution, *_ = np.linalg.lstsq(affine[known_N], axes_N2[known_N], rcond=None)
    axes_N2[~known_N] = affine[~known_N] @ solution


def assign(
    points_NP: NDArray[np.float32],
    sample_id: Rows,
    known_clusters: pl.DataFrame,
    settings: Settings,
    progress: Progress,
) -> list[Clustering]:
    """The clusterings of all samples, given the table `clusters` of some of them.

    A new sample joins the cluster with the nearest centre. HDBSCAN has no centres: there it joins the cluster of the
    nearest known sample, which may be noise.
    """
    return [
        _assign_one(method, points_NP, sample_id, known_clusters.filter(method=method), settings, progress)
        for method in METHODS
    ]


def _assign_one(
    method: str,
    points_NP: NDArray[np.float32],
    sample_id: Rows,
    known_clusters: pl.DataFrame,
    settings: Settings,
    progress: Progress,
) -> Clustering:
    joined = pl.DataFrame({"sample_id": sample_id}).join(
        known_clusters, on="sample_id", how="left", maintain_order="left"
    )
    cluster = joined["cluster"].fill_null(-1).to_numpy().copy()
    strength = joined["strength"].fill_null(1).to_numpy().copy()
    old = joined["strength"].is_not_null().to_numpy()
    new = np.flatnonzero(~old)
    if not len(new) or not old.any():
        return Clustering(method, cluster, strength)
    if method == "hdbscan":
        anchors, numbers, strengths = points_NP[old], cluster[old], strength[old]
    else:
        numbers = np.unique(cluster[old])
        anchors = np.stack([points_NP[old & (cluster == number)].mean(0) for number in numbers])
        strengths = np.ones(len(numbers))
    batches = cut(lambda part: {"points": points_NP[new[part]]}, len(new), BLOCK)
    nearest = map_batches(
        f"assign, {method}", Assigner, (anchors,), batches, count=len(new), settings=settings, progress=progress
    )["nearest"]
    cluster[new], strength[new] = numbers[nearest], strengths[nearest]
    return Clustering(method, cluster, strength)


class Assigner:
    """The number of the anchor [A, P] nearest to each point of a batch [N]; the first one in case of ties."""

    def __init__(self, anchors_AP: NDArray[np.float32]) -> None:
        self._anchors_AP, self._half_A = anchors_AP, (anchors_AP**2).sum(1) / 2

    def __call__(self, batch: Batch) -> Batch:
        points, every = batch["points"], np.arange(len(batch["points"]))
        nearest, closest = np.zeros(len(points), np.int64), np.full(len(points), -np.inf, np.float32)
        for start in range(0, len(self._anchors_AP), ANCHORS):
            part = slice(start, start + ANCHORS)
            closeness = points @ self._anchors_AP[part].T - self._half_A[part]
            best = closeness.argmax(1)
            closer = closeness[every, best] > closest
            nearest[closer], closest[closer] = start + best[closer], closeness[every, best][closer]
        return {"nearest": nearest}
