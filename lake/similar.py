"""Exact search for similar samples: cosine similarity of embeddings, any number of examples for and against.

Shapes: N samples, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.queries import Tables

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Index:
    """The embeddings of a run at unit length, in the order of their ids."""

    sample_id: NDArray[np.int64]
    unit_ND: NDArray[np.float32]

    @classmethod
    def of(cls, run: Tables) -> "Index":
        """All embeddings of the run, in memory: 2 KiB a sample at 512 features."""
        rows = run.scan("embeddings").select("sample_id", "embedding").sort("sample_id").collect()
        embedding_ND = rows["embedding"].explode().to_numpy().reshape(len(rows), -1)
        return cls(rows["sample_id"].to_numpy(), to_unit(embedding_ND))

    def vector(self, more_like: Sequence[int], less_like: Sequence[int] = ()) -> Vector:
        """The direction of some samples and away from others: the mean of the ones less that of the others.

        Samples that the run has not scored are left out; zeros where none is left.
        """
        toward, away = (self._mean(ids) for ids in (more_like, less_like))
        return to_unit((toward - away)[None])[0]

    def search(self, query: Vector, count: int, *, among: NDArray[np.bool_] | None = None) -> pl.DataFrame:
        """The `count` samples most similar to a vector, of those that `among` allows: rank, sample_id, similarity.

        Exact; of equal similarities the smaller id comes first.
        """
        similarity = self.unit_ND @ query
        if among is not None:
            similarity[~among] = -np.inf
        count = min(count, len(similarity) if among is None else int(among.sum()))
        nearest = np.argpartition(-similarity, count - 1)[:count] if count else np.zeros(0, np.int64)
        nearest = nearest[np.lexsort((self.sample_id[nearest], -similarity[nearest]))]
        return pl.DataFrame(
            {
                "rank": np.arange(1, count + 1),
                "sample_id": self.sample_id[nearest],
                "similarity": similarity[nearest].astype(np.float64),
            }
        )

    def _mean(self, ids: Sequence[int]) -> Vector:
        known = np.isin(self.sample_id, np.array(ids, dtype=np.int64))
        return np.asarray(self.unit_ND[known].mean(0) if known.any() else np.zeros(self.unit_ND.shape[1], np.float32))


def to_unit(vectors_ND: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors of length 1; zeros stay zeros."""
    length = np.linalg.norm(vectors_ND.astype(np.float64), axis=1, keepdims=True)
    return (vectors_ND / length.clip(1e-12)).astype(np.float32)
