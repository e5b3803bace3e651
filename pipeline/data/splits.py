"""Which images are held out where their source does not say: stratified, seeded, and for ever.

An image keeps the split it had when more images come. K classes, N images.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import stratified

Names = list[str | None]


def assign_missing_splits(
    label: NDArray[np.int64],
    named: Names,
    known: Names,
    *,
    test_share: float,
    validation_share: float,
    seed: int,
) -> NDArray[np.str_]:
    """The split of every image [N]: the one its source names, else the one it had, else a new one.

    `label` is -1 where there is none: unlabeled. Where the source names no test (validation) images, that share of the
    images for training becomes them, each class in its share. At least one image of a class stays for training.
    """
    rng = np.random.default_rng(seed)
    split = np.array([name or "train" for name in named]).astype("<U10")
    split[label < 0] = "unlabeled"
    shares = {"test": test_share, "validation": validation_share}
    drawn = {name: share for name, share in shares.items() if not (split == name).any()}
    pool = split == "train"
    settled = pool & np.isin(np.array([name or "" for name in known]), ["train", *drawn])
    split[settled] = np.array(known, dtype=object)[settled]
    fresh = np.flatnonzero(pool & ~settled)
    free = fresh[~np.isin(fresh, _kept_for_training(label, fresh, np.flatnonzero(settled & (split == "train")), rng))]
    for name, share in drawn.items():
        count = round(share * int(pool.sum())) - int((split[pool] == name).sum())
        split[stratified(free, label, max(count, 0), rng)] = name
        free = free[split[free] == "train"]
    return split


def _kept_for_training(
    label: NDArray[np.int64], fresh: NDArray[np.int64], trained: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """One of the new images of every class of which none is trained on yet."""
    shuffled = rng.permutation(fresh)
    classes, first = np.unique(label[shuffled], return_index=True)
    return shuffled[first[~np.isin(classes, label[trained])]]
