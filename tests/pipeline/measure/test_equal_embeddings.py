"""Many equal embeddings: neighbours do not depend on the order of the source, and no neighbour counts as lost."""

import numpy as np
import pytest

from pipeline.engine.progress import Progress
from pipeline.measure.equal_embeddings import MANY, draw_among_equal, group_equal
from pipeline.measure.neighbors import search_neighbors
from pipeline.measure.projection_quality import share_of_neighbors_kept
from pipeline.settings import load_settings

QUIET = Progress(quiet=True)


def planted(equal: int, others: int = 60) -> np.ndarray:
    """Equal embeddings, then others that differ [N, 6]."""
    points = np.random.default_rng(0).normal(size=(equal + others, 6)).astype(np.float32)
    points[:equal] = points[0]
    return points


def test_equal_rows_are_in_one_group_and_zeros_in_none() -> None:
    points = np.array([[1, 0], [0, 0], [1, -0.0], [2, 0], [0, 0], [2, 0], [3, 1]], dtype=np.float32)
    groups = group_equal(points)
    assert groups[0] == groups[2] >= 0 and groups[3] == groups[5] >= 0 and groups[0] != groups[3]
    assert groups[[1, 4, 6]].tolist() == [-1, -1, -1]
    assert group_equal(np.empty((0, 3), np.float32)).tolist() == []


@pytest.mark.parametrize("count", [15, 50])
def test_of_many_equal_samples_each_is_a_neighbour_equally_often_wherever_it_is_in_the_source(count: int) -> None:
    equal = 40
    nearest, similarity = search_neighbors(planted(equal), count, load_settings(), QUIET)
    listed = min(count, equal - 1)
    first = nearest[:equal, :listed]
    assert (first < equal).all() and (similarity[:equal, :listed] == 1).all()
    assert (np.bincount(first.ravel(), minlength=equal) == listed).all()
    assert all(len(set(row)) == count and i not in row for i, row in enumerate(nearest.tolist()))
    assert (np.diff(similarity, axis=1) <= 1e-6).all()
    by_order = (nearest[:equal, :15] < equal // 2).mean()
    assert by_order == pytest.approx(0.5, abs=0.05)


def test_neighbours_are_drawn_again_alike_and_for_some_rows_as_for_all() -> None:
    points, settings = planted(40), load_settings()
    nearest, similarity = search_neighbors(points, 15, settings, QUIET)
    some = np.array([3, 17, 70])
    again = search_neighbors(points, 15, settings, QUIET, rows=some)
    assert (again[0] == nearest[some]).all() and again[1] == pytest.approx(similarity[some], abs=1e-6)


def test_few_equal_samples_are_left_as_they_were_found() -> None:
    groups = group_equal(planted(MANY + 1))
    nearest, similarity = np.arange(20).reshape(2, 10), np.ones((2, 10), np.float32)
    drawn, _ = draw_among_equal(nearest, similarity, np.array([0, 1]), groups)
    assert (drawn == nearest).all()


def test_a_map_keeps_a_neighbour_if_another_equal_one_is_near_on_it() -> None:
    rng = np.random.default_rng(1)
    points = planted(100, others=0)
    map_N2 = rng.normal(size=(100, 2)).astype(np.float32)
    nearest, _ = search_neighbors(points, 15, load_settings(), QUIET)
    assert (share_of_neighbors_kept(map_N2, nearest, group_equal(points)) == 1).all()
    nobody = np.full(100, -1)
    assert share_of_neighbors_kept(map_N2, nearest, nobody).mean() < 0.3
