"""Exact nearest neighbours by cosine similarity, block by block."""

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from pipeline.progress import Progress

BLOCK = 2048


def search_neighbors(
    embedding_ND: NDArray[np.float32], count: int, progress: Progress, *, rows: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Row numbers [M, count] and cosine similarities [M, count] of the nearest of the rows (of all), best first.

    A sample is not among its own.
    """
    unit = torch.nn.functional.normalize(torch.from_numpy(embedding_ND), dim=1)
    count = min(count, len(unit) - 1)
    asked = torch.arange(len(unit)) if rows is None else torch.from_numpy(rows)
    found = np.zeros((len(asked), count), np.int64), np.zeros((len(asked), count), np.float32)
    with progress.task("neighbours", len(asked)) as task:
        for start in range(0, len(asked), BLOCK):
            own = asked[start : start + BLOCK]
            block = unit[own] @ unit.T
            block[torch.arange(len(own)), own] = -2
            best = block.topk(count, dim=1)
            part = slice(start, start + len(own))
            found[0][part], found[1][part] = best.indices.numpy(), best.values.numpy()
            task.advance(len(own))
    return found


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
