"""Search the allowed samples for similar ones by cosine similarity, with any number of positive and negative examples.

All samples are compared, or only those that the run's search index proposes. Shapes: N samples, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.search.ann_index import SearchIndex
from lake.search.vectors import read_vectors, to_unit
from lake.storage.store import Run

Vector = NDArray[np.float32]
FEW = 0.01
"""Share of allowed samples below which comparing just these is faster than comparing all or using an index."""
MIN_CANDIDATES, CANDIDATES_PER_RESULT = 1000, 10


@dataclass(frozen=True)
class Index:
    """The unit-length embeddings of a run, ordered by sample id, and its search index if it has one."""

    sample_id: NDArray[np.int64]
    unit_ND: NDArray[np.float32]
    search_index: SearchIndex | None = None

    @classmethod
    def of(cls, run: Run) -> "Index":
        """Load all embeddings of the run (2 KiB per sample at 512 features); large runs are memory-mapped from a cache.

        Raises `LakeError` if the search index is damaged.
        """
        sample_id, unit_ND = read_vectors(run)
        return cls(sample_id, unit_ND, SearchIndex.of(run, unit_ND.shape))

    def vector(self, more_like: Sequence[int], less_like: Sequence[int] = ()) -> Vector:
        """Return the unit vector towards some samples and away from others, from the difference of their means.

        Samples that the run has not scored are skipped; zeros if none is left.
        """
        toward, away = (self._mean(ids) for ids in (more_like, less_like))
        return to_unit((toward - away)[None])[0]

    def search(self, query: Vector, count: int, *, among: NDArray[np.bool_] | None = None) -> pl.DataFrame:
        """Return the `count` samples most similar to a vector, among those in the mask: rank, sample_id, similarity.

        Similarities are exact, over all samples or those that the search index proposes; ties are ordered by sample id.
        """
        allowed = len(self.sample_id) if among is None else int(among.sum())
        count = min(count, allowed)
        rows = self._choose_rows(query, count, allowed, among)
        similarity = np.einsum("nd,d->n", self.unit_ND[rows], query)  # single-threaded, and equal for equal vectors
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
        """Return candidate rows that include the nearest, at least `count`."""
        if among is not None and allowed <= max(count, FEW * len(among)):
            return np.flatnonzero(among)
        if self.search_index is not None:
            candidate_count = min(allowed, max(MIN_CANDIDATES, CANDIDATES_PER_RESULT * count))
            candidates = self.search_index.propose(query, candidate_count, among)
            if len(candidates) == candidate_count:
                return candidates
        similarity = self.unit_ND @ query
        if among is not None:
            similarity[~among] = -np.inf
        return np.argpartition(-similarity, count - 1)[:count]

    def _mean(self, ids: Sequence[int]) -> Vector:
        unique_ids = np.unique(np.array(ids, dtype=np.int64))
        position = np.searchsorted(self.sample_id, unique_ids).clip(max=len(self.sample_id) - 1)
        rows = position[self.sample_id[position] == unique_ids]
        return np.asarray(self.unit_ND[rows].mean(0) if len(rows) else np.zeros(self.unit_ND.shape[1], np.float32))
