"""What the map needs of the inside of umap: a release that moves or changes it is told here, by name."""

import importlib
import inspect
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest

from pipeline.measure.umap_projection import fit_umap, keep_compiled

pytestmark = pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")
NUMBER = np.arange(60) % 3
POINTS = (np.eye(8)[NUMBER] * 10 + np.random.default_rng(0).normal(0, 1, (60, 8))).astype(np.float32)
"""Sixty points around three far centres, and the number of the centre."""


def inside(module: str, name: str) -> Any:
    """What umap calls so."""
    found = getattr(importlib.import_module(module), name, None)
    assert found is not None, (
        f"umap-learn {version('umap-learn')} has no {module}.{name}: see pipeline/measure/umap_projection.py"
    )
    return found


def spread_of_groups(places_N2: np.ndarray) -> float:
    return float(np.mean([places_N2[i == NUMBER].std(0).mean() for i in range(3)]))


@pytest.mark.parametrize(
    ("module", "name", "first", "named"),
    [
        (
            "umap.layouts",
            "optimize_layout_euclidean",
            "head_embedding tail_embedding head tail n_epochs n_vertices epochs_per_sample a b rng_state",
            {"initial_alpha", "move_other"},
        ),
        ("umap.umap_", "make_epochs_per_sample", "weights n_epochs", set()),
    ],
)
def test_a_function_takes_what_it_took(module: str, name: str, first: str, named: set[str]) -> None:
    takes = list(inspect.signature(inside(module, name)).parameters)
    expected = first.split()
    changed = (
        f"{module}.{name} of umap-learn {version('umap-learn')} takes {takes}: see pipeline/measure/umap_projection.py"
    )
    assert takes[: len(expected)] == expected and named <= {*takes}, changed


def test_an_edge_is_drawn_as_often_as_it_is_strong() -> None:
    every = inside("umap.umap_", "make_epochs_per_sample")(np.array([1, 0.5, 0.25], np.float32), 100)
    assert every.tolist() == [1, 2, 4]


def test_the_curve_of_a_fit_falls_as_its_least_distance_says() -> None:
    keep_compiled()
    options = {"transform_mode": "graph", "random_state": 0, "n_jobs": 1}
    reducer = inside("umap", "UMAP")(n_neighbors=5, min_dist=0.5, **options).fit(POINTS)
    lacking = {"_a", "_b", "graph_"} - {*vars(reducer)}
    assert not lacking, (
        f"a fit of umap-learn {version('umap-learn')} has no {lacking}: see pipeline/measure/umap_projection.py"
    )
    distance = np.linspace(0.01, 3, 100)
    wanted = np.exp(-(distance - 0.5).clip(0))
    assert 1 / (1 + reducer._a * distance ** (2 * reducer._b)) == pytest.approx(wanted, abs=0.1)
    assert reducer.graph_.shape == (60, 60)


def test_a_layout_begins_where_the_samples_lie_and_draws_neighbours_together() -> None:
    start = (np.random.default_rng(1).normal(0, 3, (60, 2)) + 100).astype(np.float32)
    given = start.copy()
    found = fit_umap(POINTS, start, neighbors=5, min_dist=0.1, seed=0)
    assert found.shape == (60, 2) and np.array_equal(start, given)
    assert np.abs(found.mean(0) - 100).max() < 10

    assert spread_of_groups(found) < 0.7 * spread_of_groups(start)


def test_what_numba_compiles_of_umap_is_kept_for_the_next_process() -> None:
    keep_compiled()
    for name in ("smooth_knn_dist", "compute_membership_strengths"):
        assert inside("umap.umap_", name).stats.cache_path, f"umap.umap_.{name} is compiled anew in every process"
