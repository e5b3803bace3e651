"""Splits: stratified, seeded, with labels withheld where they must be."""

import numpy as np
import pytest

from lake.contracts.samples import Samples
from lake.errors import UserError
from pipeline.data.dataset import assign_splits, choose_samples
from tests.support.data.drawn import drawn_dataset

LABEL = np.tile(np.arange(10), 6000)
OFFICIAL_TEST = np.arange(60_000) >= 50_000


def test_the_official_train_gives_a_tenth_to_validation_and_the_test_gives_up_the_unlabeled() -> None:
    split = assign_splits(LABEL, OFFICIAL_TEST, unlabeled=1000, seed=0)
    names, counts = np.unique(split, return_counts=True)
    assert dict(zip(names, counts, strict=True)) == {
        "test": 9000, "train": 45_000, "unlabeled": 1000, "validation": 5000,
    }  # fmt: skip
    assert set(split[OFFICIAL_TEST]) == {"test", "unlabeled"}


def test_every_split_has_every_class_in_its_share() -> None:
    split = assign_splits(LABEL, OFFICIAL_TEST, unlabeled=1000, seed=3)
    for name in ("train", "validation", "test", "unlabeled"):
        counts = np.bincount(LABEL[split == name])
        assert counts.max() - counts.min() <= 1, name


def test_equal_seeds_give_equal_splits_and_others_do_not() -> None:
    first, again, other = (assign_splits(LABEL, OFFICIAL_TEST, unlabeled=1000, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_withholding_most_test_labels_is_refused() -> None:
    with pytest.raises(UserError, match="unlabeled = 6000 would withhold more than half"):
        assign_splits(LABEL, OFFICIAL_TEST, unlabeled=6000, seed=0)


def test_a_small_set_keeps_all_splits_and_classes() -> None:
    split = assign_splits(LABEL, OFFICIAL_TEST, unlabeled=1000, seed=0)
    rows = choose_samples(LABEL, split, limit=2000, seed=0)
    assert len(rows) == 2000
    assert np.array_equal(rows, np.unique(rows))
    counts = {name: int((split[rows] == name).sum()) for name in np.unique(split)}
    assert counts == {"test": 700, "train": 1000, "unlabeled": 100, "validation": 200}
    assert np.bincount(LABEL[rows]).tolist() == [200] * 10


def test_the_samples_table_keeps_its_contract_and_withholds_labels() -> None:
    frame = drawn_dataset(200).frame
    checked = Samples.validate(frame, cast=True)
    unlabeled = checked.filter(checked["split"] == "unlabeled")
    assert unlabeled["label"].null_count() == len(unlabeled) > 0
    assert unlabeled["groups"][0].to_list() == [{"name": "superclass", "value": None}]
