"""Find nearest neighbours by cosine similarity, among all samples or, in a large run, among those the index proposes.

The cost of an exact search grows with the square of the number of samples. With the index, each sample is compared
exactly with the samples of the lists nearest to its own. Shapes: N samples, M of them queried, L lists, D features.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lake.search.ann_index import SearchIndex
from lake.search.vectors import to_unit
from pipeline.engine.batch_map import Batch, Mapper, cut, map_batches
from pipeline.engine.progress import Progress
from pipeline.measure.equal_embeddings import draw_among_equal, group_equal
from pipeline.settings import Settings

BLOCK = 2048
SIMILARITIES = 2**28
"""Maximum number of similarities computed at once: blocks are smaller for more than 131,072 samples."""
COMPARED, PER_NEIGHBOR = 8000, 20
"""Minimum number of samples proposed by the index, in total and per requested neighbour."""


def search_neighbors(
    embedding_ND: NDArray[np.float32],
    count: int,
    settings: Settings,
    progress: Progress,
    *,
    rows: NDArray[np.int64] | None = None,
    index: SearchIndex | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Row numbers and cosine similarities [M, count] of the neighbours of `rows` (all by default), best first.

    A sample is not its own neighbour. With an index of the embeddings, only the samples that it proposes are compared.
    Of more than 15 samples with equal embeddings, the neighbours of each are drawn.
    """
    query_rows = np.arange(len(embedding_ND)) if rows is None else rows
    count = min(count, len(embedding_ND) - 1)
    if index is None:
        size = max(1, min(BLOCK, SIMILARITIES // len(embedding_ND)))
        result = _search_batches(Searcher, (embedding_ND, count), query_rows, size, settings, progress)
        return _with_drawn(result["nearest"], result["similarity"], query_rows, embedding_ND)
    lists = Lists.of(index)
    order = np.argsort(lists.of_row_N[query_rows], kind="stable")  # so that the rows of a list are compared together
    result = _search_batches(ListSearcher, (embedding_ND, count, lists), query_rows[order], BLOCK, settings, progress)
    back = np.argsort(order)
    nearest, similarity = result["nearest"][back], result["similarity"][back]
    return _with_drawn(nearest, similarity, query_rows, embedding_ND)


def _with_drawn(
    nearest_MR: NDArray[np.int64],
    similarity_MR: NDArray[np.float32],
    query_rows: NDArray[np.int64],
    embedding_ND: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return draw_among_equal(nearest_MR, similarity_MR, query_rows, group_equal(embedding_ND))


def _search_batches(
    make: type[Mapper],
    arguments: tuple[object, ...],
    query_rows: NDArray[np.int64],
    size: int,
    settings: Settings,
    progress: Progress,
) -> Batch:
    batches = cut(lambda part: {"row": query_rows[part]}, len(query_rows), size)
    return map_batches(
        "neighbours", make, arguments, batches, count=len(query_rows), settings=settings, progress=progress
    )


@dataclass(frozen=True)
class Lists:
    """The lists of a search index: the list number of each row, and the list centres at unit length."""

    of_row_N: NDArray[np.int64]
    centre_LD: NDArray[np.float32]

    @classmethod
    def of(cls, index: SearchIndex) -> "Lists":
        """The lists of an index, where each row is in exactly one list."""
        import faiss

        ivf = index.ivf
        of_row_N = np.empty(ivf.ntotal, np.int64)
        for number in range(ivf.nlist):
            if size := ivf.invlists.list_size(number):
                of_row_N[faiss.rev_swig_ptr(ivf.invlists.get_ids(number), size)] = number
        return cls(of_row_N, to_unit(ivf.quantizer.reconstruct_n(0, ivf.nlist)))


class Searcher:
    """The `count` nearest of all samples for each row of a batch, and their cosines, [N, count] each, best first."""

    def __init__(self, embedding_ND: NDArray[np.float32], count: int) -> None:
        self._unit_ND = torch.from_numpy(to_unit(embedding_ND))
        self._count = count

    def __call__(self, batch: Batch) -> Batch:
        own = torch.from_numpy(batch["row"])
        similarity = self._unit_ND[own] @ self._unit_ND.T
        similarity[torch.arange(len(own)), own] = -2
        best = similarity.topk(self._count, dim=1)
        return {"nearest": best.indices.numpy(), "similarity": best.values.numpy()}


class ListSearcher:
    """Like `Searcher`, but searches only the lists nearest to the list of each row."""

    def __init__(self, embedding_ND: NDArray[np.float32], count: int, lists: Lists) -> None:
        self._unit_ND = torch.from_numpy(to_unit(embedding_ND))
        self._count, self._lists = count, lists
        self._size_L = np.bincount(lists.of_row_N, minlength=len(lists.centre_LD))
        self._member_N = np.argsort(lists.of_row_N, kind="stable")
        self._first_L = np.cumsum(self._size_L) - self._size_L

    def __call__(self, batch: Batch) -> Batch:
        own = batch["row"]
        nearest = np.empty((len(own), self._count), np.int64)
        similarity = np.empty((len(own), self._count), np.float32)
        number = self._lists.of_row_N[own]
        for list_number in np.unique(number):
            positions = np.flatnonzero(number == list_number)
            nearest[positions], similarity[positions] = self._search(int(list_number), own[positions])
        return {"nearest": nearest, "similarity": similarity}

    def _search(self, number: int, own: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The nearest neighbours of rows of one list."""
        proposed = self._propose(number)
        similarity = self._unit_ND[torch.from_numpy(own)] @ self._unit_ND[torch.from_numpy(proposed)].T
        place = np.searchsorted(proposed[: self._size_L[number]], own)  # its own list comes first, in ascending order
        similarity[torch.arange(len(own)), torch.from_numpy(place)] = -2
        best = similarity.topk(self._count, dim=1)
        return proposed[best.indices.numpy()], best.values.numpy()

    def _propose(self, number: int) -> NDArray[np.int64]:
        """The rows of the list, followed by those of the lists with the nearest centres, until there are enough."""
        closeness_L = self._lists.centre_LD @ self._lists.centre_LD[number]
        closeness_L[number] = np.inf
        near = np.argsort(-closeness_L, kind="stable")
        enough = max(COMPARED, PER_NEIGHBOR * self._count)
        nearest_lists = near[: np.searchsorted(np.cumsum(self._size_L[near]), enough) + 1]
        return np.concatenate([self._member_N[self._first_L[i] :][: self._size_L[i]] for i in nearest_lists])


def neighbors_frame(
    sample_id: NDArray[np.int64], rows_NR: NDArray[np.int64], similarity_NR: NDArray[np.float32]
) -> pl.DataFrame:
    """The table `neighbors` without the column run_id."""
    count = rows_NR.shape[1]
    return pl.DataFrame(
        {
            "sample_id": np.repeat(sample_id, count),
            "rank": np.tile(np.arange(1, count + 1), len(sample_id)),
            "neighbor_id": sample_id[rows_NR.ravel()],
            "similarity": similarity_NR.ravel().astype(np.float64),
        }
    )
