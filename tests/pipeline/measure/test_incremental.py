"""New samples among known ones: exactly the neighbours of a full search, placed among their like, nobody else moved."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.contracts.clusters import METHODS
from lake.search.vectors import to_unit
from pipeline.engine.progress import Progress
from pipeline.measure import incremental
from pipeline.measure.aligned_projection import align
from pipeline.measure.incremental import Assigner, assign, continue_axes, extend_neighbors, place
from pipeline.measure.neighbors import neighbors_frame, search_neighbors
from pipeline.settings import load_settings

SETTINGS, QUIET = load_settings(), Progress(quiet=True)


def table(ids: np.ndarray, points: np.ndarray, count: int) -> pl.DataFrame:
    return neighbors_frame(ids, *search_neighbors(points, count, SETTINGS, QUIET))


@given(seed=st.integers(0, 10_000), new=st.integers(0, 15), gone=st.integers(0, 10))
@settings(max_examples=40)
def test_neighbours_are_those_of_a_full_search(seed: int, new: int, gone: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(80, 6)).astype(np.float32)
    ids = np.sort(rng.permutation(500)[:80])
    before = np.sort(rng.permutation(80)[: 80 - new])
    now = np.setdiff1d(np.arange(80), rng.permutation(before)[:gone])
    known = table(ids[before], points[before], 7)
    rows, similarity = extend_neighbors(ids[now], points[now], known, SETTINGS, QUIET)
    whole_rows, whole_similarity = search_neighbors(points[now], 7, SETTINGS, QUIET)
    assert similarity == pytest.approx(whole_similarity, abs=1e-6)
    assert (rows == whole_rows).mean() > 0.99  # but for ties


def test_known_lists_are_extended_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(4).normal(size=(90, 6)).astype(np.float32)
    known = table(np.arange(70), points[:70], 7)
    whole = extend_neighbors(np.arange(90), points, known, SETTINGS, QUIET)
    monkeypatch.setattr(incremental, "SIMILARITIES", 300)
    parts = extend_neighbors(np.arange(90), points, known, SETTINGS, QUIET)
    assert np.array_equal(parts[0], whole[0])
    assert parts[1] == pytest.approx(whole[1], abs=1e-6)


def test_anchors_are_compared_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    anchors, points = (np.random.default_rng(seed).normal(size=(50, 4)).astype(np.float32) for seed in (5, 6))
    anchors[33] = anchors[7]
    monkeypatch.setattr(incremental, "ANCHORS", 9)
    distance = np.linalg.norm(points[:, None] - anchors, axis=2)
    assert Assigner(anchors)({"points": points})["nearest"].tolist() == distance.argmin(1).tolist()
    assert Assigner(anchors)({"points": anchors[[33]]})["nearest"].tolist() == [7]


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three groups in 8 dimensions, their places on a map, and the group of each."""
    rng = np.random.default_rng(1)
    group = np.repeat([0, 1, 2], 40)
    centres, places = np.eye(8)[:3] * 4, np.array([[0, 0], [10, 0], [0, 10]])
    points = centres[group] + rng.normal(0, 0.3, (120, 8))
    return points.astype(np.float32), (places[group] + rng.normal(0, 0.5, (120, 2))).astype(np.float32), group


def test_new_samples_are_placed_among_their_like_and_nobody_moves(blobs: tuple[np.ndarray, ...]) -> None:
    points, position, group = blobs
    placed = np.random.default_rng(2).random(120) > 0.2
    blank = np.where(placed[:, None], position, np.float32(np.nan))
    there = place(blank, placed, *search_neighbors(points, 20, SETTINGS, QUIET))
    assert np.array_equal(there[placed], position[placed])
    assert np.linalg.norm(there[~placed] - position[~placed], axis=1).max() < 3
    nearest = np.linalg.norm(there[~placed][:, None] - position[placed][None], axis=2).argmin(1)
    assert np.array_equal(group[placed][nearest], group[~placed])


def test_a_sample_with_no_placed_neighbour_lies_in_the_middle(blobs: tuple[np.ndarray, ...]) -> None:
    _, position, _ = blobs
    placed = np.arange(120) >= 3
    near = np.tile([1, 2], (120, 1))
    there = place(position, placed, near, np.ones((120, 2), np.float32))
    assert there[0] == pytest.approx(position[3:].mean(0))


def test_principal_axes_are_found_again_exactly(blobs: tuple[np.ndarray, ...]) -> None:
    points, _, _ = blobs
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    axes = (unit - unit.mean(0)) @ np.random.default_rng(3).normal(size=(8, 2))
    known = np.arange(120) % 5 > 0
    found = np.where(known[:, None], axes, 0)
    continue_axes(points, known, found)
    assert found == pytest.approx(axes, abs=1e-4)


def test_new_samples_join_the_cluster_of_their_like_and_noise_stays_noise(blobs: tuple[np.ndarray, ...]) -> None:
    points, _, group = blobs
    unit = to_unit(points)
    known = np.arange(120) % 4 > 0
    cluster = np.where(group == 2, -1, group)
    rows = [
        {"method": method, "sample_id": i, "cluster": None if c < 0 else c, "distance": 0.0, "strength": 0.5}
        for method in METHODS
        for i, c in ((i, int(cluster[i] if method == "hdbscan" else group[i])) for i in np.flatnonzero(known))
    ]
    found = {c.method: c for c in assign(unit, np.arange(120), pl.DataFrame(rows), SETTINGS, QUIET)}
    assert np.array_equal(found["kmeans"].cluster, group) and np.array_equal(found["bisecting"].cluster, group)
    assert np.array_equal(found["hdbscan"].cluster, cluster)
    assert np.array_equal(found["hdbscan"].strength, np.full(120, 0.5))


@pytest.mark.parametrize("mirror", [1, -1])
def test_a_turned_mirrored_and_scaled_map_is_brought_back(blobs: tuple[np.ndarray, ...], mirror: int) -> None:
    _, position, _ = blobs
    turn = np.array([[np.cos(2), -np.sin(2)], [np.sin(2), np.cos(2)]]) @ np.diag([1, mirror])
    moved = (position @ turn * 3 + [5, -7]).astype(np.float32)
    shared = np.arange(120) % 3 > 0
    assert align(moved, position, shared) == pytest.approx(position, abs=1e-3)
