"""Is the mean of a group of samples raised? One-sided permutation tests of many groups at once.

N samples, G groups, B permutations; groups may overlap.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

BATCH = 64
Values = NDArray[np.float64]


def raised_p(
    value: Values, members_GN: csr_array, *, permutations: int, seed: int, within: NDArray[np.int64] | None = None
) -> Values:
    """p [G] that the mean of each group is not raised: (1 + hits) / (1 + B), a hit being a random group as high.

    A random group has as many samples; with `within` also as many of each of its values ("hard even for cats"?).
    """
    stratum = np.zeros(len(value), np.int64) if within is None else within
    order = np.argsort(stratum, kind="stable")
    members_GN, value = members_GN[:, order], value[order]
    blocks = np.split(value, np.flatnonzero(np.diff(stratum[order])) + 1)
    rng, observed = np.random.default_rng([seed, 5]), members_GN @ value - 1e-9
    hits = np.zeros(members_GN.shape[0])
    for start in range(0, permutations, BATCH):
        rows = min(BATCH, permutations - start)
        shuffled_BN = np.hstack([rng.permuted(np.tile(block, (rows, 1)), axis=1) for block in blocks])
        hits += (members_GN @ shuffled_BN.T >= observed[:, None]).sum(1)
    return np.asarray((1 + hits) / (1 + permutations))


def to_matrix(groups: list[NDArray[np.int64]], samples: int) -> csr_array:
    """The members [G, N] of groups given by the rows of their samples: 1 where the sample is in the group."""
    ends = np.cumsum([0, *(len(rows) for rows in groups)])
    columns = np.concatenate([*groups, np.zeros(0, np.int64)])
    return csr_array((np.ones(len(columns)), columns, ends), shape=(len(groups), samples))
