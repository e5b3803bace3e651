"""Exact nearest neighbours by cosine similarity, block by block."""

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from pipeline.progress import Progress

BLOCK = 2048


def compute_neighbors(
    embedding_ND: NDArray[np.float32], count: int, progress: Progress
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Row numbers [N, count] and cosine similarities [N, count] of the nearest, itself left out, best first."""
    unit = torch.nn.functional.normalize(torch.from_numpy(embedding_ND), dim=1)
    count = min(count, len(unit) - 1)
    rows, similarities = [], []
    with progress.task("neighbours", len(unit)) as task:
        for start in range(0, len(unit), BLOCK):
            block = unit[start : start + BLOCK] @ unit.T
            block[torch.arange(len(block)), torch.arange(start, start + len(block))] = -2
            best = block.topk(count, dim=1)
            rows.append(best.indices.numpy())
            similarities.append(best.values.numpy())
            task.advance(len(block))
    return np.concatenate(rows), np.concatenate(similarities)


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
