"""Permutation p values: exact on a case counted by hand, uniform on noise, small where a group is raised."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from pipeline.findings.permutation import raised_p, to_matrix


def p_of(value: np.ndarray, rows: np.ndarray, **options: Any) -> float:
    given: dict[str, Any] = {"permutations": 4000, "seed": 0} | options
    return float(raised_p(value, to_matrix([rows], len(value)), **given)[0])


def test_p_is_the_share_of_equal_groups_that_are_as_high() -> None:
    value, rows = np.array([5.0, 1, 4, 0, 2, 3]), np.array([0, 2])
    exact = np.mean([value[list(pair)].sum() >= value[rows].sum() for pair in combinations(range(6), 2)])
    assert p_of(value, rows, permutations=20_000) == pytest.approx(exact, abs=0.01)


def test_within_permutes_only_inside_each_class() -> None:
    """Of two classes one is higher; its half is no higher than the rest of it."""
    stratum = np.repeat([0, 1], 50)
    value = np.random.default_rng(0).random(100) + 5 * stratum
    rows = np.arange(50, 75)
    assert p_of(value, rows) < 0.01
    assert p_of(value, rows, within=stratum) > 0.05


def test_groups_may_overlap_and_each_gets_its_own_p() -> None:
    value = np.r_[np.full(20, 3.0), np.zeros(80)]
    members = to_matrix([np.arange(20), np.arange(10, 30), np.arange(40, 60)], 100)
    high, half, low = raised_p(value, members, permutations=2000, seed=0)
    assert high == pytest.approx(1 / 2001)
    assert high <= half < 0.05
    assert low == 1


def test_on_noise_p_is_uniform() -> None:
    rng = np.random.default_rng(1)
    value = rng.exponential(size=400)
    groups = [rng.choice(400, 40, replace=False) for _ in range(200)]
    p = raised_p(value, to_matrix(groups, 400), permutations=1000, seed=0)
    assert 0.02 <= (p < 0.05).mean() <= 0.1
    assert 0.4 <= p.mean() <= 0.6


def test_the_number_of_permutations_is_the_one_asked_for() -> None:
    value = np.r_[np.full(20, 9.0), np.zeros(80)]
    assert p_of(value, np.arange(20), permutations=130) == pytest.approx(1 / 131)


def test_a_group_that_is_often_matched_is_dropped_early_and_its_p_stays_the_share() -> None:
    """The p of its 100 hits differs from that of all of them by a tenth of itself."""
    rng = np.random.default_rng(2)
    value = rng.exponential(size=300)
    groups = [rng.choice(300, 30, replace=False) for _ in range(40)]
    value[groups[0]] += 0.3
    early = raised_p(value, to_matrix(groups, 300), permutations=20_000, seed=0)
    sums = np.array([rng.permuted(value) for _ in range(20_000)]) @ to_matrix(groups, 300).toarray().T
    share = (sums >= to_matrix(groups, 300) @ value - 1e-9).mean(0)
    assert early == pytest.approx(share, rel=0.4, abs=1e-3)
    assert np.corrcoef(early, share)[0, 1] > 0.99


def test_how_many_threads_there_are_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    value, groups = rng.random(200), [rng.choice(200, 20, replace=False) for _ in range(30)]
    members, within = to_matrix(groups, 200), rng.integers(0, 4, 200)
    one, three = (raised_p(value, members, permutations=900, seed=4, within=within, threads=t) for t in (1, 3))
    np.testing.assert_array_equal(one, three)
