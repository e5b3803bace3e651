"""Differences of proportions and effective sample sizes agree with published figures and simulation."""

import numpy as np
import pytest

from lake.statistics import effective_size, proportion_difference_interval


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """Newcombe 1998, table II, method 10."""
    assert proportion_difference_interval(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert proportion_difference_interval(10, 10, 0, 20) == pytest.approx((0.6791, 1.0), abs=1e-3)
    assert proportion_difference_interval(3, 4, 0, 0) == (-1, 1)


def test_independent_clusters_count_nearly_all_and_uniform_ones_as_one_each() -> None:
    rng, sizes = np.random.default_rng(0), np.full(200, 10.0)
    independent = rng.binomial(10, 0.6, 200).astype(float)
    uniform = np.where(rng.random(200) < 0.6, 10.0, 0.0)
    assert effective_size(independent, sizes) > 1500
    assert effective_size(uniform, sizes) == pytest.approx(200, rel=0.05)


def test_few_clusters_count_for_less_and_one_for_nothing() -> None:
    assert effective_size(np.array([10.0]), np.array([10.0])) == 0
    assert effective_size(np.full(2, 10.0), np.full(2, 10.0)) < 1
    assert effective_size(np.full(40, 10.0), np.full(40, 10.0)) > 300
