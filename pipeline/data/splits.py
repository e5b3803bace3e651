"""Assign splits where the source does not name them: stratified, seeded and permanent.

An image keeps its split when more images are added. Images of a group, such as those of a patient, are in one split.
N images, G groups, K classes.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import stratified

Names = Sequence[str | None]
MEASURED = ("train", "validation", "test")
SWAPS = 300
"""Groups of a split, drawn at random, for each of which the best exchange is made."""


def assign_missing_splits(
    label: NDArray[np.int64],
    source_splits: Names,
    known_splits: Names,
    *,
    test_share: float,
    validation_share: float,
    seed: int,
    groups: Names | None = None,
) -> NDArray[np.str_]:
    """The split of every image [N]: the one named by its source, otherwise its previous one, otherwise a new one.

    `label` is -1 for unlabeled images. If the source names no test (validation) images, that share of the training
    images is assigned to it, stratified by class. At least one image per class stays in training.

    Images with the same of `groups` (None is a group of its own) get the same new split: the one of the group's images
    that have one, otherwise a new one, which meets each share to within one group. A group whose images the source or
    a previous run put into several splits stays in them; see `lake.query.leaks.suspected_groups.shared_groups`.
    """
    rng = np.random.default_rng(seed)
    split = np.array([name or "train" for name in source_splits]).astype("<U10")
    split[label < 0] = "unlabeled"
    shares = {"test": test_share, "validation": validation_share}
    missing_shares = {name: share for name, share in shares.items() if not (split == name).any()}
    pool = split == "train"
    settled = pool & np.isin(np.array([name or "" for name in known_splits]), ["train", *missing_shares])
    split[settled] = np.array(known_splits, dtype=object)[settled]
    if groups is not None:
        group = _number_groups(groups)
        named = np.array([name is not None for name in source_splits])
        settled |= _join_known(split, pool & ~settled, group, named, missing_shares)
    fresh = np.flatnonzero(pool & ~settled)
    trained = np.flatnonzero(settled & (split == "train"))
    staying = _choose_for_training(label, fresh, trained, rng)
    if groups is not None:
        staying = fresh[np.isin(group[fresh], group[staying])]
    free = fresh[~np.isin(fresh, staying)]
    for name, share in missing_shares.items():
        count = max(round(share * int(pool.sum())) - int((split[pool] == name).sum()), 0)
        if groups is None:
            split[stratified(free, label, count, rng)] = name
        else:
            of_split = pool & (split == name)
            target_K = share * np.bincount(label[pool]) - np.bincount(label[of_split], minlength=label.max() + 1)
            drawn = _draw_groups(free, label, group, count, target_K.clip(0), rng, at_least_one=not of_split.any())
            split[drawn] = name
        free = free[split[free] == "train"]
    return split


def _choose_for_training(
    label: NDArray[np.int64], fresh: NDArray[np.int64], trained: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """One new image of every class that has no training image yet."""
    shuffled = rng.permutation(fresh)
    classes, first = np.unique(label[shuffled], return_index=True)
    return shuffled[first[~np.isin(classes, label[trained])]]


def _number_groups(groups: Names) -> NDArray[np.int64]:
    """The number of the group of each image [N]; an image without a group has one of its own."""
    number = {name: i for i, name in enumerate(dict.fromkeys(name for name in groups if name is not None))}
    return np.array([len(number) + i if name is None else number[name] for i, name in enumerate(groups)], np.int64)


def _join_known(
    split: NDArray[np.str_],
    fresh_N: NDArray[np.bool_],
    group: NDArray[np.int64],
    named_N: NDArray[np.bool_],
    drawn: Iterable[str],
) -> NDArray[np.bool_]:
    """Put new images into the split of most images of their group; returns which have been settled so [N].

    An image that its source names to be for training does not move into a split that the source names.
    """
    numbers, code = np.unique(group, return_inverse=True)
    count_GS = np.zeros((len(numbers), len(MEASURED)), np.int64)
    for i, name in enumerate(MEASURED):
        np.add.at(count_GS[:, i], code[~fresh_N & (split == name)], 1)
    joining = fresh_N & (count_GS.sum(1) > 0)[code]
    split_of = np.array(MEASURED)[count_GS.argmax(1)][code]
    moving = joining & ~(named_N & ~np.isin(split_of, ["train", *drawn]))
    split[moving] = split_of[moving]
    return joining


def _draw_groups(
    free: NDArray[np.int64],
    label: NDArray[np.int64],
    group: NDArray[np.int64],
    count: int,
    target_K: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    at_least_one: bool,
) -> NDArray[np.int64]:
    """The images of whole groups, `count` of them to within half a group, and about `target_K` of each class.

    The shuffled groups of each class (the rarest of a group) are interleaved by the images before them; a group that
    would overshoot by more than is missing is passed over. If all would, the smallest group is taken if at least one is
    needed. Then groups are swapped as long as that brings the classes nearer to their shares.
    """
    if not count or not len(free):
        return free[:0]
    images_of_class = np.bincount(label[free])
    by_rarity = np.argsort(images_of_class, kind="stable")
    rarity = np.empty_like(by_rarity)
    rarity[by_rarity] = np.arange(len(by_rarity))
    numbers, code = np.unique(group[free], return_inverse=True)
    size_G = np.bincount(code)
    stratum_G = np.full(len(numbers), len(by_rarity))
    np.minimum.at(stratum_G, code, rarity[label[free]])
    chosen: list[int] = []
    missing = count
    for i in _interleave(stratum_G, size_G, rng).tolist():
        if size_G[i] <= 2 * missing:
            chosen.append(i)
            missing -= int(size_G[i])
    if not chosen and at_least_one:
        chosen = [int(size_G.argmin())]
    count_GK = np.zeros((len(numbers), len(target_K)), np.int64)
    np.add.at(count_GK, (code, label[free]), 1)
    balanced = _balance(chosen, count_GK, target_K, rng)
    return free[np.isin(code, balanced)]


def _balance(
    chosen: list[int], count_GK: NDArray[np.int64], target_K: NDArray[np.float64], rng: np.random.Generator
) -> list[int]:
    """The groups after swaps with others, each of which brings the images of the classes nearer to `target_K`.

    The number of all images comes no further from its target than half a group.
    """
    inside, outside = list(chosen), [i for i in range(len(count_GK)) if i not in set(chosen)]
    if not inside or not outside:
        return inside
    have_K, wanted = count_GK[inside].sum(0), target_K.sum()
    most = max(abs(have_K.sum() - wanted), count_GK.sum(1).mean() / 2)
    for i in rng.integers(len(inside), size=SWAPS).tolist():
        new_GK = have_K - count_GK[inside[i]] + count_GK[outside]
        distance_G = _distance(new_GK, target_K)
        distance_G[np.abs(new_GK.sum(1) - wanted) > most] = np.inf
        j = int(distance_G.argmin())
        if distance_G[j] < _distance(have_K[None], target_K)[0]:
            inside[i], outside[j], have_K = outside[j], inside[i], new_GK[j]
    return inside


def _distance(have_GK: NDArray[np.int64], target_K: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far counts are from those wanted, relative to what chance would give [G]."""
    return np.asarray(((have_GK - target_K) ** 2 / np.maximum(target_K, 1)).sum(1))


def _interleave(stratum_G: NDArray[np.int64], size_G: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """All groups in an order in which each stratum has its share of the images of every beginning."""
    shuffled = rng.permutation(len(stratum_G))
    rank = np.empty(len(shuffled))
    for stratum in np.unique(stratum_G):
        members = np.flatnonzero(stratum_G[shuffled] == stratum)
        size = size_G[shuffled[members]]
        rank[members] = (np.cumsum(size) - size + rng.random() * size) / size.sum()
    return shuffled[np.argsort(rank, kind="stable")]
