"""Assign splits where the source does not name them: stratified, seeded and permanent.

An image keeps its split when more images are added. N images.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import stratified

Names = list[str | None]


def assign_missing_splits(
    label: NDArray[np.int64],
    source_splits: Names,
    known_splits: Names,
    *,
    test_share: float,
    validation_share: float,
    seed: int,
) -> NDArray[np.str_]:
    """The split of every image [N]: the one named by its source, otherwise its previous one, otherwise a new one.

    `label` is -1 for unlabeled images. If the source names no test (validation) images, that share of the training
    images is assigned to it, stratified by class. At least one image per class stays in training.
    """
    rng = np.random.default_rng(seed)
    split = np.array([name or "train" for name in source_splits]).astype("<U10")
    split[label < 0] = "unlabeled"
    shares = {"test": test_share, "validation": validation_share}
    missing_shares = {name: share for name, share in shares.items() if not (split == name).any()}
    pool = split == "train"
    settled = pool & np.isin(np.array([name or "" for name in known_splits]), ["train", *missing_shares])
    split[settled] = np.array(known_splits, dtype=object)[settled]
    fresh = np.flatnonzero(pool & ~settled)
    free = fresh[~np.isin(fresh, _choose_for_training(label, fresh, np.flatnonzero(settled & (split == "train")), rng))]
    for name, share in missing_shares.items():
        count = round(share * int(pool.sum())) - int((split[pool] == name).sum())
        split[stratified(free, label, max(count, 0), rng)] = name
        free = free[split[free] == "train"]
    return split


def _choose_for_training(
    label: NDArray[np.int64], fresh: NDArray[np.int64], trained: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """One new image of every class that has no training image yet."""
    shuffled = rng.permutation(fresh)
    classes, first = np.unique(label[shuffled], return_index=True)
    return shuffled[first[~np.isin(classes, label[trained])]]
