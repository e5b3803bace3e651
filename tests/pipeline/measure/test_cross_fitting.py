"""Folds: every training sample in exactly one, and features that agree only where there is something to agree on."""

import numpy as np
import pytest

from pipeline.measure.cross_fitting import alignment, assign_folds, fit_rotation

RNG = np.random.default_rng(0)


def test_every_sample_is_in_one_fold_and_classes_are_shared_out() -> None:
    label = np.repeat([0, 1, 2], [40, 20, 10])
    fold = assign_folds(label, 5, seed=0)
    assert sorted(set(fold)) == [1, 2, 3, 4, 5]
    for number in range(1, 6):
        assert np.bincount(label[fold == number]).tolist() == [8, 4, 2]


def test_folds_depend_on_the_seed_only() -> None:
    label = np.arange(60) % 3
    assert (assign_folds(label, 3, seed=1) == assign_folds(label, 3, seed=1)).all()
    assert (assign_folds(label, 3, seed=1) != assign_folds(label, 3, seed=2)).any()


def test_without_folds_every_sample_is_the_main_model_s() -> None:
    assert not assign_folds(np.zeros(7, dtype=np.int64), 0, seed=0).any()


def test_a_planted_rotation_is_found_back() -> None:
    features = RNG.normal(size=(400, 16)).astype(np.float32)
    planted, _ = np.linalg.qr(RNG.normal(size=(16, 16)))
    turned = (features @ planted).astype(np.float32)
    assert fit_rotation(features, turned) == pytest.approx(planted, abs=1e-4)
    assert alignment(features, turned) == pytest.approx(1, abs=1e-4)


def test_unrelated_features_do_not_agree() -> None:
    one, other = RNG.normal(size=(2, 2000, 16)).astype(np.float32)
    assert abs(alignment(one, other)) < 0.1


def test_classes_of_fewer_samples_than_folds_are_shared_out_too() -> None:
    label = np.repeat(np.arange(30), 3)
    fold = assign_folds(label, 5, seed=0)
    assert np.bincount(fold)[1:].tolist() == [18] * 5
    assert all(len(set(fold[label == k])) == 3 for k in range(30))
