"""Intervals and errors against values worked out by hand or published."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from lake.statistics import (
    RESAMPLED_AT_ONCE,
    RESAMPLED_UP_TO,
    benjamini_hochberg,
    bootstrap_mean_interval,
    calibration_error,
    wilson_interval,
)


def test_the_wilson_interval_is_that_of_the_textbook() -> None:
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)


def test_the_wilson_interval_of_none_and_all_stays_within_0_and_1() -> None:
    low, high = wilson_interval(0, 20)
    assert (low, high) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(20, 20) == pytest.approx((1 - high, 1.0))
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (3, 7), (81, 263), (9_999, 10_000)])
def test_the_wilson_interval_is_scipys(hits: int, n: int) -> None:
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson_interval(hits, n) == pytest.approx(tuple(expected), abs=1e-12)


def test_the_wilson_interval_narrows_as_samples_grow() -> None:
    widths = [np.diff(wilson_interval(n // 2, n))[0] for n in (10, 100, 1000)]
    assert widths == sorted(widths, reverse=True)


def test_the_bootstrap_interval_agrees_with_the_normal_one_on_many_values() -> None:
    values = np.random.default_rng(3).normal(5, 2, 1000)
    half = 1.96 * values.std() / math.sqrt(1000)
    expected = (values.mean() - half, values.mean() + half)
    assert bootstrap_mean_interval(values) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("n", [1, 7, RESAMPLED_AT_ONCE, RESAMPLED_AT_ONCE + 1, 3001])
def test_the_bootstrap_interval_is_that_of_one_resample_after_the_other(n: int) -> None:
    values, rng = np.random.default_rng(4).gamma(0.5, 2, n), np.random.default_rng(0)
    means = [values[rng.integers(0, n, n)].mean() for _ in range(1000)]
    assert bootstrap_mean_interval(values) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), rel=1e-12)


@pytest.mark.parametrize("n", [7, RESAMPLED_AT_ONCE, RESAMPLED_AT_ONCE + 1])
def test_the_bootstrap_interval_is_scipys_however_few_the_values_are(n: int) -> None:
    values = np.random.default_rng(4).gamma(0.5, 2, n)
    drawn = bootstrap((values,), np.mean, n_resamples=1000, method="percentile", rng=np.random.default_rng(0))
    assert bootstrap_mean_interval(values) == pytest.approx(tuple(drawn.confidence_interval), rel=1e-12)


def test_the_interval_of_more_values_than_are_resampled_is_the_normal_one() -> None:
    values = np.random.default_rng(3).gamma(0.5, 2, RESAMPLED_UP_TO + 1)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert bootstrap_mean_interval(values) == pytest.approx((values.mean() - half, values.mean() + half), abs=1e-5)


def test_the_bootstrap_interval_is_the_same_every_time_and_seed_by_seed() -> None:
    values = np.arange(30.0)
    assert bootstrap_mean_interval(values) == bootstrap_mean_interval(values)
    assert bootstrap_mean_interval(values) != bootstrap_mean_interval(values, seed=1)


def test_the_bootstrap_interval_of_equal_values_is_that_value() -> None:
    assert bootstrap_mean_interval(np.full(7, 2.5)) == (2.5, 2.5)
    assert bootstrap_mean_interval(np.array([4.0])) == (4.0, 4.0)


def test_the_bootstrap_interval_of_nothing_is_not_a_number() -> None:
    assert all(math.isnan(end) for end in bootstrap_mean_interval(np.array([])))


def test_the_calibration_error_of_two_bins_by_hand() -> None:
    confidence = np.array([0.9, 0.9, 0.6, 0.6])
    correct = np.array([True, False, True, True])
    assert calibration_error(confidence, correct, bins=2) == pytest.approx((2 * 0.4 + 2 * 0.4) / 4)


def test_the_calibration_error_weighs_bins_by_their_size() -> None:
    confidence = np.array([0.2, 0.8, 1.0])
    correct = np.array([False, True, True])
    assert calibration_error(confidence, correct, bins=2) == pytest.approx((2 * abs(0.5 - 0.5) + 0) / 3)


def test_an_honest_classifier_has_a_small_calibration_error_and_a_boastful_one_a_large() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 20_000)
    correct = rng.random(20_000) < confidence
    assert calibration_error(confidence, correct) < 0.02
    assert calibration_error(np.ones(20_000), correct) == pytest.approx(0.25, abs=0.01)


def test_the_calibration_error_of_one_sample_and_of_none() -> None:
    assert calibration_error(np.array([0.7]), np.array([True])) == pytest.approx(0.3)
    assert calibration_error(np.array([]), np.array([], dtype=bool)) == 0.0


def test_adjusted_p_is_that_of_the_published_steps() -> None:
    p = np.random.default_rng(0).random(50)
    rank = p.argsort().argsort() + 1
    by_hand = [(p * 50 / rank)[p >= one].min() for one in p]
    assert benjamini_hochberg(p) == pytest.approx(by_hand)
    assert benjamini_hochberg(np.zeros(0)).tolist() == [] and benjamini_hochberg(np.array([0.3])).tolist() == [0.3]
    with pytest.raises(ValueError, match="p"):
        benjamini_hochberg(np.array([0.3, math.nan]))
