"""Exact nearest neighbours by cosine similarity, block by block."""

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from pipeline.executor import Batch, cut, map_batches
from pipeline.progress import Progress
from pipeline.settings import Settings

BLOCK = 2048


def search_neighbors(
    embedding_ND: NDArray[np.float32],
    count: int,
    settings: Settings,
    progress: Progress,
    *,
    rows: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Row numbers [M, count] and cosine similarities [M, count] of the nearest of the rows (of all), best first.

    A sample is not among its own.
    """
    asked = np.arange(len(embedding_ND)) if rows is None else rows
    batches = cut(lambda part: {"row": asked[part]}, len(asked), BLOCK)
    given = (embedding_ND, min(count, len(embedding_ND) - 1))
    found = map_batches("neighbours", Searcher, given, batches, count=len(asked), settings=settings, progress=progress)
    return found["nearest"], found["similarity"]


class Searcher:
    """The `count` nearest of a batch of rows among all, and their cosines, [N, count] each, best first."""

    def __init__(self, embedding_ND: NDArray[np.float32], count: int) -> None:
        self._unit_ND = torch.nn.functional.normalize(torch.from_numpy(embedding_ND), dim=1)
        self._count = count

    def __call__(self, batch: Batch) -> Batch:
        own = torch.from_numpy(batch["row"])
        similarity = self._unit_ND[own] @ self._unit_ND.T
        similarity[torch.arange(len(own)), own] = -2
        best = similarity.topk(self._count, dim=1)
        return {"nearest": best.indices.numpy(), "similarity": best.values.numpy()}


def neighbors_frame(
    sample_id: NDArray[np.int64], rows_NR: NDArray[np.int64], similarity_NR: NDArray[np.float32]
) -> pl.DataFrame:
    """The `neighbors` table but for its run_id."""
    count = rows_NR.shape[1]
    return pl.DataFrame(
        {
            "sample_id": np.repeat(sample_id, count),
            "rank": np.tile(np.arange(1, count + 1), len(sample_id)),
            "neighbor_id": sample_id[rows_NR.ravel()],
            "similarity": similarity_NR.ravel().astype(np.float64),
        }
    )
