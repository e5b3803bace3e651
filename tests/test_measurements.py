"""Scores, neighbours, map and clusters against what can be computed by hand."""

import numpy as np
import polars as pl
import pytest

from lake.contracts import Neighbors, Predictions
from pipeline import cluster, neighbors, project, score
from pipeline.progress import Progress
from tests.drawn import drawn_dataset, tiny_settings

QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def blobs():
    """300 points in 16-d around 3 far centres, and the number of the centre."""
    rng = np.random.default_rng(0)
    number = np.arange(300) % 3
    centres = np.eye(16)[:3] * 10
    return (centres[number] + rng.normal(0, 1, (300, 16))).astype(np.float32), number


def test_stored_logits_reproduce_the_stored_loss():
    dataset = drawn_dataset(80)
    rows = np.arange(80)
    logits = np.random.default_rng(0).normal(0, 3, (80, 4)).astype(np.float32)
    frame = score.predictions_frame(logits, dataset, rows, 1.7)
    Predictions.validate(frame.with_columns(run_id=pl.lit("r")).select(Predictions.column_names()))
    for row in frame.iter_rows(named=True):
        scaled = np.array(row["logits"]) / 1.7
        p = np.exp(scaled) / np.exp(scaled).sum()
        label = dataset.label[row["sample_id"]]
        assert row["predicted"] == dataset.classes[int(p.argmax())]
        assert row["expected_loss"] == pytest.approx(-(p * np.log(p)).sum(), abs=1e-5)
        if label >= 0:
            assert row["loss"] == pytest.approx(-np.log(p[label]), abs=1e-5)
            assert row["correct"] == (p.argmax() == label)
        else:
            assert row["loss"] is None and row["correct"] is None


def test_only_the_training_split_is_in_sample():
    dataset = drawn_dataset(80)
    frame = score.predictions_frame(np.zeros((80, 4), np.float32), dataset, np.arange(80), 1.0)
    assert (~frame["out_of_sample"]).to_numpy().tolist() == (dataset.split == "train").tolist()


def test_temperature_finds_back_how_overconfident_logits_are():
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20_000, 5))
    p = np.exp(honest) / np.exp(honest).sum(1, keepdims=True)
    label = (p.cumsum(1) < rng.random((20_000, 1))).sum(1)
    assert score.fit_temperature((honest * 3).astype(np.float32), label) == pytest.approx(3, rel=0.05)


def test_held_out_samples_are_always_scored(tmp_path):
    dataset = drawn_dataset(200)
    rows = score.choose_scored(dataset, tiny_settings(tmp_path, scored_train=10))
    assert (dataset.split[rows] == "train").sum() == 10
    assert set(dataset.rows("validation", "test", "unlabeled")) <= set(rows)


def test_neighbours_equal_brute_force_in_float64(blobs):
    points, _ = blobs
    nearest, similarity = neighbors.compute_neighbors(points, 10, QUIET)
    unit = points.astype(np.float64) / np.linalg.norm(points.astype(np.float64), axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    expected = np.sort(cosine, axis=1)[:, ::-1][:, :10]
    assert np.abs(similarity - expected).max() < 1e-6
    assert np.abs(np.take_along_axis(cosine, nearest, 1) - expected).max() < 1e-6
    frame = neighbors.neighbors_frame(np.arange(300) * 7, nearest, similarity)
    Neighbors.validate(frame.with_columns(run_id=pl.lit("r")).select(Neighbors.column_names()))
    assert (frame["sample_id"] != frame["neighbor_id"]).all()


def test_a_seed_gives_the_same_map_and_it_keeps_groups_together(blobs, tmp_path):
    points, number = blobs
    settings = tiny_settings(tmp_path)
    components = project.reduce_dimensions(points, settings)
    first, again = (project.project(components, settings) for _ in range(2))
    assert first.tobytes() == again.tobytes()
    on_map, _ = neighbors.compute_neighbors(np.c_[first - first.mean(0), np.zeros(300)].astype(np.float32), 5, QUIET)
    assert (number[on_map] == number[:, None]).mean() > 0.9


def test_share_of_neighbours_kept_is_one_for_the_identity_and_chance_for_noise(blobs):
    plane = blobs[0][:, :2]
    distance = np.linalg.norm(plane[:, None] - plane[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1)[:, :15]
    assert project.share_of_neighbors_kept(plane, nearest).mean() == 1
    noise = np.random.default_rng(1).normal(size=(300, 2)).astype(np.float32)
    assert project.share_of_neighbors_kept(noise, nearest).mean() < 0.12


def test_every_method_finds_planted_groups_and_noise_stays_noise(blobs, tmp_path):
    points, number = blobs
    rng = np.random.default_rng(2)
    scattered = np.concatenate([points, rng.uniform(-10, 10, (20, 16)).astype(np.float32)])
    rows = cluster.normalize_rows(scattered)
    found = {c.method: c for c in cluster.compute_clusterings(rows, tiny_settings(tmp_path, kmeans_clusters=3))}
    for method in ("kmeans", "bisecting", "hdbscan"):
        member = found[method].cluster[:300]
        for i in range(3):
            counts = np.bincount(member[(number == i) & (member >= 0)])
            assert counts.max() / counts.sum() > 0.95, method
    assert (found["hdbscan"].cluster[300:] == -1).mean() > 0.5
    frame = cluster.clusters_frame(np.arange(320), rows, list(found.values()))
    noise = frame.filter(pl.col("method") == "hdbscan", pl.col("cluster").is_null())
    assert len(noise) == (found["hdbscan"].cluster == -1).sum()
    assert noise["distance"].null_count() == len(noise)
