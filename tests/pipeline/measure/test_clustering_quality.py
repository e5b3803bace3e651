"""Stability and agreement: high for planted clusters, low for a cloud without any; noise is no cluster."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lake.search.vectors import to_unit
from pipeline.engine.progress import Progress
from pipeline.measure.clustering import compute_clusterings
from pipeline.measure.clustering_quality import agreement, assess, stability
from tests.support.data.drawn import tiny_settings

Assessed = tuple[dict[tuple[str, str, str], float], dict[str, list[float]]]


def assessed(points: np.ndarray, folder: object) -> Assessed:
    """Values by method, measure and other method; stability of the clusters by method."""
    settings = tiny_settings(folder, kmeans_clusters=3)
    rows = to_unit(points.astype(np.float32))
    found = {c.method: c.cluster for c in compute_clusterings(rows, settings)}
    frames = assess(rows, found, settings, Progress(quiet=True))
    quality = frames["cluster_quality"].filter(~frames["cluster_quality"]["measure"].str.starts_with("sweep"))
    values = {(r["method"], r["measure"], r["of"]): r["value"] for r in quality.iter_rows(named=True)}
    stable = frames["cluster_stability"]
    return values, {method: stable.filter(method=method)["stability"].to_list() for method in found}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Assessed:
    rng = np.random.default_rng(0)
    return assessed(np.eye(8)[np.arange(300) % 3] * 8 + rng.normal(0, 1, (300, 8)), tmp_path_factory.mktemp("planted"))


def test_planted_clusters_are_stable_over_halves_seeds_and_methods(planted: Assessed) -> None:
    values, stable = planted
    for method in ("kmeans", "bisecting"):
        assert values[method, "half_agreement", ""] > 0.95
        assert values[method, "seed_agreement", ""] > 0.95
        assert values[method, "noise", ""] == 0
        assert min(stable[method]) > 0.9
    assert values["kmeans", "agreement", "bisecting"] > 0.95
    assert values["kmeans", "silhouette", ""] > 0.5
    assert len(stable["kmeans"]) == 3


def test_a_cloud_without_clusters_is_not_stable(tmp_path: Path) -> None:
    values, stable = assessed(np.random.default_rng(1).normal(size=(300, 8)), tmp_path)
    assert values["kmeans", "half_agreement", ""] < 0.6
    assert min(stable["kmeans"]) < 0.75
    assert values["kmeans", "silhouette", ""] < 0.3


def test_noise_is_left_out_of_an_agreement_and_of_stability() -> None:
    first, second = np.array([0, 0, 1, 1, -1, -1]), np.array([1, 1, 0, 0, 0, 1])
    assert agreement(first, second) == 1
    assert np.isnan(agreement(first, np.full(6, -1)))
    rows = np.array([0, 1, 2, 4])
    assert stability(first, [(rows, np.array([0, 0, 1, -1]))]).tolist() == [1, 1]
    assert stability(first, [(rows, np.array([0, -1, 1, 1]))]).tolist() == [0.5, 0.5]


def test_a_method_without_clusters_has_no_stability() -> None:
    noise = np.full(6, -1)
    assert stability(noise, [(np.arange(6), noise)]).tolist() == []


def test_noise_alone_has_no_figures_but_its_share(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, kmeans_clusters=2, hdbscan_min_cluster_size=60)
    points = to_unit(np.random.default_rng(1).normal(size=(60, 8)).astype(np.float32))
    found = {c.method: c.cluster for c in compute_clusterings(points, settings)}
    found["hdbscan"] = np.full(60, -1)
    quality = assess(points, found, settings, Progress(quiet=True))["cluster_quality"]
    of_noise = quality.filter(pl.any_horizontal(pl.col("method", "of") == "hdbscan"))
    assert of_noise.select("measure", "value").rows() == [("noise", 1.0)]
    assert quality["value"].is_finite().all()


def test_where_fewer_clusters_are_found_than_were_asked_for_each_number_has_its_rows_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.measure.clustering_quality.SWEEP", (5, 10, 15, 20, 30, 40))
    points = np.repeat(np.eye(7, dtype=np.float32), 20, axis=0)
    settings = tiny_settings("unused")
    number = {method: np.repeat(np.arange(7), 20) for method in ("kmeans", "bisecting", "hdbscan")}
    rows = assess(points, number, settings, Progress(quiet=True))["cluster_quality"]
    swept = rows.filter(pl.col("measure") == "sweep_silhouette", method="kmeans")
    assert sorted(swept["clusters"]) == [5, 7]
    assert swept.filter(clusters=7)["value"].item() == pytest.approx(1)
