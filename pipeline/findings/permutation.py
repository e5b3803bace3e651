"""Test whether the mean of a group of samples is raised: one-sided permutation tests of many groups at once.

N samples, G groups, B permutations; groups may overlap. A group that random groups often match is dropped early: if its
100th hit is at permutation l, its p-value is 100 / l (Besag & Clifford 1991), otherwise (1 + hits) / (1 + B).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

BATCH, ENOUGH = 64, 100
Values = NDArray[np.float64]
Hits = NDArray[np.bool_]


def raised_p(
    value: Values,
    members_GN: csr_array,
    *,
    permutations: int,
    seed: int,
    within: NDArray[np.int64] | None = None,
    threads: int = 1,
) -> Values:
    """p-values [G] under the hypothesis that the mean of a group is not raised; a hit is a random group as high.

    A random group has the same number of samples and, with `within`, the same number of each of its values ("hard even
    for cats?"). The number of threads affects only the running time.
    """
    stratum = np.zeros(len(value), np.int64) if within is None else within
    order = np.argsort(stratum, kind="stable")
    members_GN, value = members_GN[:, order], value[order]
    blocks = np.split(value, np.flatnonzero(np.diff(stratum[order])) + 1)
    observed = members_GN @ value - 1e-9
    remaining = np.arange(len(observed))  # groups still being tested; hits, members_GN and observed have a row for each
    hits, p = np.zeros(len(observed), np.int64), np.ones(len(observed))
    with ThreadPoolExecutor(threads) as pool:
        for starts in _waves(permutations, threads):
            if not len(remaining):
                break
            draw = partial(_draw_hits, blocks=blocks, members_GN=members_GN, observed=observed, seed=seed)
            sizes = [min(BATCH, permutations - start) for start in starts]
            cumulative_hits = hits[:, None] + np.hstack(list(pool.map(draw, starts, sizes))).cumsum(1)
            hits = cumulative_hits[:, -1]
            enough = hits >= ENOUGH
            p[remaining[enough]] = ENOUGH / (starts[0] + 1 + (cumulative_hits[enough] >= ENOUGH).argmax(1))
            remaining, hits, members_GN, observed = (
                values[~enough] for values in (remaining, hits, members_GN, observed)
            )
    p[remaining] = (1 + hits) / (1 + permutations)
    return p


def _draw_hits(
    start: int, rows: int, *, blocks: list[Values], members_GN: csr_array, observed: Values, seed: int
) -> Hits:
    """Which groups [G, rows] are matched in each of `rows` permutations within the blocks, numbered from `start`."""
    rng = np.random.default_rng([seed, 5, start])
    shuffled_BN = np.hstack([rng.permuted(np.tile(block, (rows, 1)), axis=1) for block in blocks])
    return np.asarray(members_GN @ shuffled_BN.T >= observed[:, None])


def _waves(permutations: int, threads: int) -> Iterator[range]:
    """The first permutation of each batch, in waves of one batch per thread."""
    for start in range(0, permutations, BATCH * threads):
        yield range(start, min(permutations, start + BATCH * threads), BATCH)


def to_matrix(groups: list[NDArray[np.int64]], samples: int) -> csr_array:
    """Membership matrix [G, N] of groups given by the rows of their samples: 1 if the sample is in the group."""
    ends = np.cumsum([0, *(len(rows) for rows in groups)])
    columns = np.concatenate([*groups, np.zeros(0, np.int64)])
    return csr_array((np.ones(len(columns)), columns, ends), shape=(len(groups), samples))
