"""The unit-length embeddings of a run; for large runs, memory-mapped from a file to limit memory use.

Shapes: N samples, D features.
"""

from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lake.atomic_files import create_array
from lake.storage import local_cache
from lake.storage.store import Run

ROWS_AT_ONCE = 20_000


def read_vectors(run: Run) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the ascending sample ids [N] and their unit-length embeddings [N, D]."""
    rows = run.scan("embeddings").select("sample_id", "embedding")
    sample_id = rows.select("sample_id").collect().to_series().sort().to_numpy()
    if len(sample_id) > local_cache.MAPPED_ABOVE:
        with suppress(OSError):  # without disk space, read into memory
            return sample_id, np.load(local_cache.find_file(run, "npy", partial(_write, run, sample_id)), mmap_mode="r")
    embedding_ND = rows.sort("sample_id").collect()["embedding"].explode().to_numpy().reshape(len(sample_id), -1)
    return sample_id, to_unit(embedding_ND)


def to_unit(vectors_ND: NDArray[np.floating]) -> NDArray[np.float32]:
    """Normalise vectors to length 1; zero vectors stay zero."""
    length = np.sqrt(np.einsum("nd,nd->n", vectors_ND, vectors_ND, dtype=np.float64))[:, None]
    unit_ND = np.empty(vectors_ND.shape, np.float32)
    return np.divide(vectors_ND, np.where(length > 0, length, 1), out=unit_ND, casting="same_kind")


def to_common_scale(vectors_ND: NDArray[np.floating]) -> NDArray[np.float64]:
    """Divide vectors by their common root mean square, for numerical stability of fits; all zeros stay zero."""
    scaled_ND = vectors_ND.astype(np.float64)
    scale = float(np.sqrt(np.mean(scaled_ND**2))) if scaled_ND.size else 0.0
    return scaled_ND / scale if scale > 0 else scaled_ND


def _write(run: Run, sample_id: NDArray[np.int64], file: Path) -> None:
    """Write the vectors in batches, each row at the position of its id, so that memory use stays constant."""
    rows = run.scan("embeddings").select("sample_id", "embedding")
    features = rows.head(1).collect()["embedding"].list.len().item()
    mapped = create_array(file, np.float32, (len(sample_id), features))
    for part in rows.collect_batches(chunk_size=ROWS_AT_ONCE):
        position = np.searchsorted(sample_id, part["sample_id"].to_numpy())
        mapped[position] = to_unit(part["embedding"].explode().to_numpy().reshape(-1, features))
    mapped.flush()
