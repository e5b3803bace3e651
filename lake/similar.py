"""Search for similar samples: cosine similarity of embeddings, any number of examples for and against.

Every sample is compared, or those that the run's search index proposes. Shapes: N samples, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.queries import Tables
from lake.search_index import SearchIndex

Vector = NDArray[np.float32]
FEW = 0.01
"""Share of the samples that is gathered and compared faster than all are, or than an index proposes some."""
PROPOSED_AT_LEAST, PROPOSED_PER_ASKED = 1000, 10


@dataclass(frozen=True)
class Index:
    """The embeddings of a run at unit length, in the order of their ids, and its search index if it has one."""

    sample_id: NDArray[np.int64]
    unit_ND: NDArray[np.float32]
    search_index: SearchIndex | None = None

    @classmethod
    def of(cls, run: Tables) -> "Index":
        """All embeddings of the run, in memory: 2 KiB a sample at 512 features.

        Raises `LakeError` where the search index is damaged.
        """
        rows = run.scan("embeddings").select("sample_id", "embedding").sort("sample_id").collect()
        embedding_ND = rows["embedding"].explode().to_numpy().reshape(len(rows), -1)
        search_index = SearchIndex.of(run, embedding_ND.shape)
        return cls(rows["sample_id"].to_numpy(), to_unit(embedding_ND), search_index)

    def vector(self, more_like: Sequence[int], less_like: Sequence[int] = ()) -> Vector:
        """The direction of some samples and away from others: the mean of the ones less that of the others.

        Samples that the run has not scored are left out; zeros where none is left.
        """
        toward, away = (self._mean(ids) for ids in (more_like, less_like))
        return to_unit((toward - away)[None])[0]

    def search(self, query: Vector, count: int, *, among: NDArray[np.bool_] | None = None) -> pl.DataFrame:
        """The `count` samples most similar to a vector, of those that `among` allows: rank, sample_id, similarity.

        Exact among all, or among those the search index proposes; of equal similarities the smaller id comes first.
        """
        allowed = len(self.sample_id) if among is None else int(among.sum())
        count = min(count, allowed)
        rows = self._choose_rows(query, count, allowed, among)
        similarity = np.einsum("nd,d->n", self.unit_ND[rows], query)  # equal for equal vectors, and by one thread
        best = np.lexsort((self.sample_id[rows], -similarity))[:count]
        return pl.DataFrame(
            {
                "rank": np.arange(1, count + 1),
                "sample_id": self.sample_id[rows[best]],
                "similarity": similarity[best].astype(np.float64),
            }
        )

    def _choose_rows(
        self, query: Vector, count: int, allowed: int, among: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """Rows among which the nearest are, at least `count`."""
        if among is not None and allowed <= max(count, FEW * len(among)):
            return np.flatnonzero(among)
        if self.search_index is not None:
            wanted = min(allowed, max(PROPOSED_AT_LEAST, PROPOSED_PER_ASKED * count))
            proposed = self.search_index.propose(query, wanted, among)
            if len(proposed) == wanted:
                return proposed
        similarity = self.unit_ND @ query
        if among is not None:
            similarity[~among] = -np.inf
        return np.argpartition(-similarity, count - 1)[:count]

    def _mean(self, ids: Sequence[int]) -> Vector:
        known = np.isin(self.sample_id, np.array(ids, dtype=np.int64))
        return np.asarray(self.unit_ND[known].mean(0) if known.any() else np.zeros(self.unit_ND.shape[1], np.float32))


def to_unit(vectors_ND: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors of length 1; zeros stay zeros."""
    length = np.sqrt(np.einsum("nd,nd->n", vectors_ND, vectors_ND, dtype=np.float64))[:, None].clip(1e-12)
    return np.divide(vectors_ND, length, dtype=np.float32, casting="same_kind")
