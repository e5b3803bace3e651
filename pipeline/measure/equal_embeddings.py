"""Samples with equal embeddings: which they are, and their neighbours where more are equally near than are listed.

Without this, the order of the samples in the source would decide which of them are listed. Shapes: N samples, M of them
queried, D features, R neighbours.
"""

import numpy as np
from numpy.typing import NDArray

MANY = 15
"""Number of equally near samples above which the listed ones are drawn: figures use the 15 nearest."""
Rows = NDArray[np.int64]
Values = NDArray[np.float32]


def group_equal(embedding_ND: Values) -> Rows:
    """The group [N] of equal embeddings that each row is in; -1 if no other is equal, or for zeros (no direction)."""
    numbers: dict[bytes, int] = {}
    contiguous_ND = np.ascontiguousarray(embedding_ND) + np.float32(0)  # so that -0 equals 0
    found_N = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in contiguous_ND], dtype=np.int64)
    sizes = np.bincount(found_N, minlength=1)
    return np.where((sizes[found_N] > 1) & contiguous_ND.any(1), found_N, -1)


def draw_among_equal(nearest_MR: Rows, similarity_MR: Values, query_rows_M: Rows, group_N: Rows) -> tuple[Rows, Values]:
    """The neighbours [M, R], where those of a row with many equal ones begin with equal ones that are drawn.

    Each member of a group is drawn equally often; the same groups give the same neighbours, whatever the settings.
    """
    nearest, similarity = nearest_MR.copy(), similarity_MR.copy()
    sizes = np.bincount(group_N[group_N >= 0], minlength=1)
    count = nearest.shape[1]
    for number in np.flatnonzero(sizes > MANY + 1):
        rng = np.random.default_rng(int(number))
        members, queries = rng.permutation(np.flatnonzero(group_N == number)), group_N[query_rows_M] == number
        place = np.empty(len(group_N), np.int64)
        place[members] = np.arange(len(members))
        steps = rng.permutation(np.arange(1, len(members)))[:count]
        drawn = members[(place[query_rows_M[queries], None] + steps) % len(members)]
        nearest[queries], similarity[queries] = _put_first(
            drawn, nearest[queries], similarity[queries], group_N == number
        )
    return nearest, similarity


def _put_first(
    drawn_MG: Rows, nearest_MR: Rows, similarity_MR: Values, is_equal_N: NDArray[np.bool_]
) -> tuple[Rows, Values]:
    """The drawn rows, at similarity 1, then the others of each list that are not equal, up to R."""
    count = nearest_MR.shape[1]
    others_first = np.argsort(is_equal_N[nearest_MR], axis=1, kind="stable")[:, : count - drawn_MG.shape[1]]
    nearest = np.concatenate([drawn_MG, np.take_along_axis(nearest_MR, others_first, 1)], axis=1)
    ones = np.ones(drawn_MG.shape, np.float32)
    return nearest, np.concatenate([ones, np.take_along_axis(similarity_MR, others_first, 1)], axis=1)
