"""Scores, neighbours, map and clusters against what can be computed by hand."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from lake.contracts.samples import Predictions
from lake.contracts.tables import Neighbors
from lake.search.vectors import to_unit
from pipeline.engine.progress import Progress
from pipeline.measure import clustering, neighbors, principal_components, score
from pipeline.measure.umap_process import fit_in_process
from pipeline.settings import load_settings
from tests.support.data.drawn import drawn_dataset, tiny_settings

QUIET = Progress(quiet=True)
Blobs = tuple[NDArray[np.float32], NDArray[np.int64]]


@pytest.fixture(scope="module")
def blobs() -> Blobs:
    """300 points in 16-d around 3 far centres, and the number of the centre."""
    rng = np.random.default_rng(0)
    number = np.arange(300) % 3
    centres = np.eye(16)[:3] * 10
    return (centres[number] + rng.normal(0, 1, (300, 16))).astype(np.float32), number


def scores_of(logits: np.ndarray, *, temperature: float = 1.0) -> score.Scores:
    """What a model says whose features are its logits."""
    size = len(logits)
    rows = np.arange(size)
    return score.Scores(rows, logits.copy(), logits.copy(), np.full(size, temperature), np.zeros(size, dtype=np.int64))


def test_stored_logits_reproduce_the_stored_loss() -> None:
    dataset = drawn_dataset(80)
    logits = np.random.default_rng(0).normal(0, 3, (80, 4)).astype(np.float32)
    frame = score.predictions_frame(scores_of(logits, temperature=1.7), dataset)
    Predictions.validate(frame.with_columns(run_id=pl.lit("r")).select(Predictions.column_names()))
    for row in frame.iter_rows(named=True):
        scaled = np.array(row["logits"]) / row["temperature"]
        p = np.exp(scaled) / np.exp(scaled).sum()
        label = dataset.label[row["sample_id"]]
        assert row["predicted"] == dataset.classes[int(p.argmax())]
        assert row["expected_loss"] == pytest.approx(-(p * np.log(p)).sum(), abs=1e-5)
        if label >= 0:
            assert row["loss"] == pytest.approx(-np.log(p[label]), abs=1e-5)
            assert row["correct"] == (p.argmax() == label)
        else:
            assert row["loss"] is None and row["correct"] is None


def test_only_the_training_split_is_in_sample() -> None:
    dataset = drawn_dataset(80)
    frame = score.predictions_frame(scores_of(np.zeros((80, 4), np.float32)), dataset)
    assert (~frame["out_of_sample"]).to_numpy().tolist() == (dataset.split == "train").tolist()


def test_the_headline_is_what_the_test_split_gives_by_hand() -> None:
    dataset = drawn_dataset(80)
    logits = np.random.default_rng(1).normal(0, 2, (80, 4)).astype(np.float32)
    found = score.headline(scores_of(logits, temperature=2.0), dataset)
    test = dataset.split == "test"
    label = dataset.label[test]
    for temperature, suffix in ((2.0, ""), (1.0, "_before")):
        p = np.exp(logits[test].astype(float) / temperature)
        p /= p.sum(1, keepdims=True)
        own = p[np.arange(len(p)), label]
        assert found[f"test_loss{suffix}"] == pytest.approx(-np.log(own).mean())
        assert found[f"brier_score{suffix}"] == pytest.approx(((p - np.eye(4)[label]) ** 2).sum(1).mean())
    assert found["test_accuracy"] == (logits[test].argmax(1) == label).mean()
    assert found["temperature"] == 2.0


def test_a_fold_takes_over_its_own_rows_turned_into_the_main_model_s_axes() -> None:
    rng = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    features = rng.normal(size=(80, 4)).astype(np.float32)
    main, other = scores_of(features), scores_of((features @ rotation.T).astype(np.float32), temperature=3.0)
    own, held_out = np.array([1, 5]), np.arange(20, 80)
    main.embedding_ND[own] = 0
    agreement = main.take_over(other, held_out=held_out, own=own, fold=2)
    assert agreement == pytest.approx(1, abs=1e-5)
    assert main.embedding_ND == pytest.approx(features, abs=1e-4)
    assert np.flatnonzero(main.fold_N == 2).tolist() == own.tolist()
    assert main.temperature_N[own].tolist() == [3, 3]
    frame = score.predictions_frame(main, drawn_dataset(80))
    assert frame.filter(pl.col("fold") == 2)["out_of_sample"].all()


def test_temperature_finds_back_how_overconfident_logits_are() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20_000, 5))
    p = np.exp(honest) / np.exp(honest).sum(1, keepdims=True)
    label = (p.cumsum(1) < rng.random((20_000, 1))).sum(1)
    assert score.fit_temperature((honest * 3).astype(np.float32), label) == pytest.approx(3, rel=0.05)


def test_held_out_samples_are_always_scored(tmp_path: Path) -> None:
    dataset = drawn_dataset(200)
    rows = score.choose_scored(dataset, tiny_settings(tmp_path, scored_train=10))
    assert (dataset.split[rows] == "train").sum() == 10
    assert set(dataset.rows("validation", "test", "unlabeled")) <= set(rows)


def test_neighbours_equal_brute_force_in_float64(blobs: Blobs) -> None:
    points, _ = blobs
    nearest, similarity = neighbors.search_neighbors(points, 10, load_settings(), QUIET)
    unit = points.astype(np.float64) / np.linalg.norm(points.astype(np.float64), axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    expected = np.sort(cosine, axis=1)[:, ::-1][:, :10]
    assert np.abs(similarity - expected).max() < 1e-6
    assert np.abs(np.take_along_axis(cosine, nearest, 1) - expected).max() < 1e-6
    frame = neighbors.neighbors_frame(np.arange(300) * 7, nearest, similarity)
    Neighbors.validate(frame.with_columns(run_id=pl.lit("r")).select(Neighbors.column_names()))
    assert (frame["sample_id"] != frame["neighbor_id"]).all()


def test_a_seed_gives_the_same_map_and_it_keeps_groups_together(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the process that fits every map of these tests, and in one that fits nothing else."""
    points, number = blobs
    settings = tiny_settings(tmp_path)
    components = principal_components.reduce_dimensions(points, settings)
    first = principal_components.project(components, settings)
    monkeypatch.setattr(principal_components, "fit_in_process", fit_in_process)
    assert first.tobytes() == principal_components.project(components, settings).tobytes()
    flat = np.c_[first - first.mean(0), np.zeros(300)].astype(np.float32)
    on_map, _ = neighbors.search_neighbors(flat, 5, settings, QUIET)
    assert (number[on_map] == number[:, None]).mean() > 0.9


@pytest.mark.parametrize("unit", [1e-30, 1, 1e30])
def test_neighbours_depend_on_the_direction_of_an_embedding_only(blobs: Blobs, unit: float, tmp_path: Path) -> None:
    points, _ = blobs
    settings = tiny_settings(tmp_path)
    nearest, similarity = neighbors.search_neighbors(points * np.float32(unit), 5, settings, QUIET)
    expected, cosines = neighbors.search_neighbors(points, 5, settings, QUIET)
    assert (nearest == expected).mean() > 0.99 and similarity == pytest.approx(cosines, abs=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_equal_embeddings_are_one_place_and_one_group(value: float, tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path)
    components = principal_components.reduce_dimensions(np.full((120, 8), value, np.float32), settings)
    assert not components.any() and not principal_components.project(components, settings).any()
    found = clustering.compute_clusterings(to_unit(components), settings)
    assert all(c.cluster.max() <= 0 for c in found)


def test_equal_samples_are_in_one_group(tmp_path: Path) -> None:
    """Of three embeddings that fifty samples each have, bisecting would split one."""
    points = to_unit(np.repeat(np.random.default_rng(0).normal(size=(3, 8)), 50, axis=0))
    for method in ("kmeans", "bisecting"):
        number, _ = clustering.fit(method, points, tiny_settings(tmp_path, kmeans_clusters=10))
        assert [len(set(number[i : i + 50])) for i in (0, 50, 100)] == [1, 1, 1] and number.max() == 2, method


def test_rows_that_rounding_alone_tells_apart_are_in_one_group(tmp_path: Path) -> None:
    """Half of each fifty lie on the other side of where a fifth decimal is rounded up."""
    half = np.float32(0.123455)
    planes = np.array([[half, 1.0], [-half, 1.0], [half, -1.0]], np.float32).repeat(50, axis=0)
    points = planes + np.tile(np.array([-1e-7, 1e-7], np.float32), 75)[:, None]
    number, _ = clustering.fit("kmeans", points, tiny_settings(tmp_path, kmeans_clusters=6))
    assert [len(set(number[i : i + 50])) for i in (0, 50, 100)] == [1, 1, 1] and set(number) == {0, 1, 2}


@pytest.mark.parametrize("kind", ["one number", "one opposite to all"])
def test_every_sample_has_a_place_on_the_map(kind: str, tmp_path: Path) -> None:
    settings, rng = tiny_settings(tmp_path), np.random.default_rng(0)
    embedding = rng.normal(size=(120, 1)) if kind == "one number" else np.where(np.arange(120)[:, None] == 3, -1.0, 1.0)
    position = principal_components.project(
        principal_components.reduce_dimensions(embedding.astype(np.float32), settings), settings
    )
    assert position.shape == (120, 2) and np.isfinite(position).all()


def test_every_method_finds_planted_groups_and_noise_stays_noise(blobs: Blobs, tmp_path: Path) -> None:
    points, number = blobs
    rng = np.random.default_rng(2)
    scattered = np.concatenate([points, rng.uniform(-10, 10, (20, 16)).astype(np.float32)])
    rows = to_unit(scattered)
    found = {c.method: c for c in clustering.compute_clusterings(rows, tiny_settings(tmp_path, kmeans_clusters=3))}
    for method in ("kmeans", "bisecting", "hdbscan"):
        member = found[method].cluster[:300]
        for i in range(3):
            counts = np.bincount(member[(number == i) & (member >= 0)])
            assert counts.max() / counts.sum() > 0.95, method
    assert (found["hdbscan"].cluster[300:] == -1).mean() > 0.5
    frame = clustering.clusters_frame(np.arange(320), rows, list(found.values()))
    noise = frame.filter(pl.col("method") == "hdbscan", pl.col("cluster").is_null())
    assert len(noise) == (found["hdbscan"].cluster == -1).sum()
    assert noise["distance"].null_count() == len(noise)
