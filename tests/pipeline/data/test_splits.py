"""New splits are stratified and permanent, the same as ever without groups, and never part a group."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.data.splits import assign_missing_splits

SHARES: dict[str, Any] = {"test_share": 0.2, "validation_share": 0.1}
Names = Sequence[str | None]


def draw(
    label: NDArray[np.int64],
    groups: Names | None,
    source: Names | None = None,
    known: Names | None = None,
    seed: int = 0,
) -> list[str]:
    nothing: Names = [None] * len(label)
    split = assign_missing_splits(label, source or nothing, known or nothing, **SHARES, seed=seed, groups=groups)
    return split.tolist()


def sides(groups: Names, split: list[str]) -> dict[str, set[str]]:
    """The splits of each group's labelled images."""
    found: dict[str, set[str]] = {}
    for group, name in zip(groups, split, strict=True):
        if group is not None and name != "unlabeled":
            found.setdefault(group, set()).add(name)
    return found


def make_groups(sizes: list[int], classes: int, seed: int) -> tuple[NDArray[np.int64], Names]:
    """Groups of these sizes; half have one class, the others have images of any class and some without a label."""
    rng = np.random.default_rng(seed)
    label = [
        np.full(size, rng.integers(classes)) if i % 2 else rng.integers(-1, classes, size)
        for i, size in enumerate(sizes)
    ]
    groups: Names = [f"g{i}" for i, size in enumerate(sizes) for _ in range(size)]
    order = rng.permutation(len(groups))
    return np.concatenate(label)[order], [groups[i] for i in order]


# --- without groups


def test_without_groups_the_splits_are_the_same_as_ever() -> None:
    label = np.arange(60) % 3
    label[::11] = -1
    split = draw(label, None, seed=7)
    assert "".join("T" if name == "test" else name[0] for name in split) == (
        "uttvTTTttttutTtttTtvttuttttttTtTtutttTttvTttuttvtttTttTutttv"
    )


def test_groups_of_one_image_meet_the_shares_as_images_do() -> None:
    label = np.arange(400) % 4
    cases: list[Names | None] = [None, [None] * 400, [f"image {i}" for i in range(400)]]
    for groups in cases:
        split = draw(label, groups)
        assert Counter(split) == {"train": 280, "test": 80, "validation": 40}
        assert {Counter(split[c::4])["test"] for c in range(4)} == {20}


# --- groups

SIZES = st.lists(st.integers(1, 12), min_size=3, max_size=40)


@given(SIZES, st.integers(1, 4), st.integers(0, 99))
def test_no_group_is_on_two_sides_and_every_class_is_trained(sizes: list[int], classes: int, seed: int) -> None:
    label, groups = make_groups(sizes, classes, seed)
    split = draw(label, groups, seed=seed)
    assert all(len(splits) == 1 for splits in sides(groups, split).values())
    assert [name == "unlabeled" for name in split] == (label < 0).tolist()
    assert {*label[np.array(split) == "train"].tolist()} == {*label[label >= 0].tolist()}
    assert split == draw(label, groups, seed=seed)


@given(st.lists(st.integers(1, 12), min_size=20, max_size=60), st.integers(0, 99))
def test_the_shares_are_met_within_a_group(sizes: list[int], seed: int) -> None:
    label, groups = make_groups(sizes, 2, seed)
    count = Counter(draw(label, groups, seed=seed))
    labelled = int((label >= 0).sum())
    assert abs(count["test"] - 0.2 * labelled) <= max(sizes)
    assert abs(count["validation"] - 0.1 * labelled) <= max(sizes)


@given(SIZES, SIZES, st.integers(0, 99))
def test_more_images_move_nobody_and_join_their_group(first: list[int], more: list[int], seed: int) -> None:
    label, groups = make_groups(first, 3, seed)
    before = draw(label, groups, seed=seed)
    new_label, new_groups = make_groups(more, 3, seed + 1)
    renamed = [name if i % 2 else f"new {name}" for i, name in enumerate(new_groups)]
    both: Names = [*groups, *renamed]
    known: Names = [*before, *[None] * len(renamed)]
    after = draw(np.concatenate([label, new_label]), both, known=known, seed=seed)
    assert after[: len(before)] == before
    assert all(len(splits) == 1 for splits in sides(both, after).values())


def test_another_seed_draws_other_groups() -> None:
    label, groups = make_groups([5] * 40, 2, 0)
    assert draw(label, groups, seed=1) != draw(label, groups, seed=2)


def test_patients_of_each_class_are_in_every_split() -> None:
    label = np.arange(400) // 10 % 2
    split = np.array(draw(label, [f"p{i // 10}" for i in range(400)]))
    for name, images in (("test", 40), ("validation", 20)):
        assert np.bincount(label[split == name]).tolist() == [images, images]


def test_patients_with_images_of_a_rare_class_are_in_every_split() -> None:
    """Each patient has nine images of a common class; one in five has a rare one, too."""
    groups: Names = [f"p{i // 10}" for i in range(1000)]
    label = np.array([int(i % 10 == 0 and i // 10 % 5 == 0) for i in range(1000)])
    for seed in range(5):
        split = np.array(draw(label, groups, seed=seed))
        assert label[split == "test"].sum() in (3, 4, 5)
        assert label[split == "validation"].sum() in (1, 2, 3)


def test_a_huge_group_does_not_fill_the_test_split() -> None:
    label = np.arange(300) % 2
    groups: Names = ["huge"] * 200 + [f"g{i // 4}" for i in range(100)]
    for seed in range(5):
        count = Counter(draw(label, groups, seed=seed))
        assert abs(count["test"] - 60) <= 2
        assert sides(groups, draw(label, groups, seed=seed))["huge"] == {"train"}


def test_three_large_groups_still_fill_three_splits() -> None:
    label, groups = np.arange(90) % 2, [f"site {i // 30}" for i in range(90)]
    assert Counter(draw(label, [*groups])) == {"train": 30, "validation": 30, "test": 30}


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_uneven_sizes_and_classes_are_drawn_with_the_classes_of_all(seed: int) -> None:
    """36 patients of 1 to 13 images, each mostly of one class: the test has about a fifth of each class."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 14, 36)
    label = np.concatenate([np.where(rng.random(size) < 0.9, i % 2, 1 - i % 2) for i, size in enumerate(sizes)])
    groups = [f"p{i}" for i, size in enumerate(sizes) for _ in range(size)]
    split = assign_missing_splits(label, [None] * len(label), [None] * len(label), groups=groups, seed=seed, **SHARES)
    for name, share in (("test", 0.2), ("validation", 0.1)):
        counts = np.bincount(label[split == name], minlength=2)
        assert counts == pytest.approx(share * np.bincount(label), abs=3), name


def test_the_only_group_of_a_class_stays_in_training() -> None:
    label = np.array([0] * 80 + [1] * 20)
    groups: Names = [*[f"g{i // 4}" for i in range(80)], *["rare"] * 20]
    assert all(sides(groups, draw(label, groups, seed=seed))["rare"] == {"train"} for seed in range(10))


# --- what is known or named decides


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_new_images_of_a_known_group_join_its_split(split: str) -> None:
    known: Names = ["train"] * 10 + ["validation"] * 5 + ["test"] * 5 + [split] * 2 + [None] * 8
    groups: Names = [f"old {i}" for i in range(20)] + ["p"] * 10
    after = draw(np.arange(30) % 2, groups, known=known)
    assert after[:22] == known[:22]
    assert after[22:] == [split] * 8


def test_a_group_that_is_on_both_sides_stays_so_and_new_images_join_most_of_it() -> None:
    known: Names = ["test", "test", "train", "test", "train", None, None] + ["validation", "train"] * 4
    groups: Names = ["most", "most", "most", "tie", "tie", "most", "tie"] + [None] * 8
    after = draw(np.arange(15) % 2, groups, known=known)
    assert after[:5] == known[:5]
    assert after[5:7] == ["test", "train"]


def test_groups_of_named_test_images_leave_training_but_not_what_is_named() -> None:
    source: Names = ["test", None, "train", *["train"] * 20, *[None] * 20]
    groups: Names = ["p", "p", "p", *[f"g{i // 2}" for i in range(40)]]
    after = draw(np.arange(43) % 2, groups, source)
    assert after[:3] == ["test", "test", "train"]
    assert Counter(after[3:]).keys() == {"train", "validation"}
    assert all(len(splits) == 1 for splits in sides(groups[3:], after[3:]).values())


def test_unlabeled_images_of_a_group_are_unlabeled_and_decide_nothing() -> None:
    label = np.arange(60) % 2
    label[:3] = -1
    groups: Names = ["p"] * 6 + [f"g{i // 3}" for i in range(54)]
    known: Names = ["unlabeled"] * 3 + [None] * 57
    after = draw(label, groups, known=known)
    assert after[:3] == ["unlabeled"] * 3
    assert len(set(after[3:6])) == 1
    assert "unlabeled" not in after[3:]
