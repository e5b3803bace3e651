"""What the benchmarks compute by themselves: counts of work and the time at which an accuracy is reached."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import load, similar, table
from benchmarks.synthetic import build_synthetic_lake
from benchmarks.train import flops_of_an_image, orthogonalization_flops, seconds_to


def test_an_image_costs_three_forward_passes():
    forward = 2 * 0.555e9
    assert flops_of_an_image(32) == pytest.approx(3 * forward, rel=0.02)
    assert flops_of_an_image(16) == pytest.approx(3 * forward / 4, rel=0.02)


def test_newton_schulz_costs_grow_with_its_steps():
    assert orthogonalization_flops(4) == 2 * orthogonalization_flops(2)


def test_a_target_is_reached_between_the_trainings_that_enclose_it():
    runs = [(400.0, 0.9), (100.0, 0.7)]
    assert seconds_to(0.7, runs) == pytest.approx(100)
    assert seconds_to(0.8, runs) == pytest.approx(200)
    assert seconds_to(0.95, runs) is None
    assert seconds_to(0.6, runs) is None


def test_drawn_vectors_have_unit_length_and_nearest_that_are_near():
    drawn = similar.clustered(3000, 64, np.random.default_rng(0))
    assert np.linalg.norm(drawn, axis=1) == pytest.approx(np.ones(3000), abs=1e-5)
    cosine = drawn @ drawn.T - 2 * np.eye(3000)
    assert np.median(cosine.max(1)) > 0.5 > 10 * abs(np.median(cosine))


def test_recall_is_the_share_of_the_expected_that_was_found():
    assert similar.recall([np.array([1, 2]), np.array([5])], [np.array([1, 3]), np.array([5])]) == 0.75


def test_the_benchmark_of_similar_runs(tiny_lake, capsys):
    similar.main(tiny_lake, samples=1500, exact_samples=300, features=32, queries=20)
    assert capsys.readouterr().out.count("ratio of medians") == 4


def test_the_benchmark_of_readers_clicks_through_pages_without_errors(tiny_lake, capsys):
    with pytest.raises(SystemExit):
        load.main(Path(tiny_lake), readers=2, seconds=6, think=0.5)
    said = capsys.readouterr().out
    assert "240 samples, 2 readers" in said
    assert "; 0 errors" in said


def test_the_images_of_a_page_are_found_in_its_messages():
    message = b'\x12"/thumbnails/tiny-240-0/7.png/thumbnails/tiny-240-0/8.png\x00 /pictures/2026-a.png?f=label.is.cat"'
    assert load.IMAGE.findall(message) == [
        b"/thumbnails/tiny-240-0/7.png",
        b"/thumbnails/tiny-240-0/8.png",
        b"/pictures/2026-a.png?f=label.is.cat",
    ]


def test_the_benchmark_of_the_table_runs_on_a_lake_of_many_samples(tmp_path, capsys, monkeypatch):
    lake = build_synthetic_lake(str(tmp_path / "lake"), 700, features=16)
    monkeypatch.setenv("LATENTLAKE_LAKE", lake.root)
    table.main(lake.root, repeats=3)
    printed = capsys.readouterr().out
    assert "700 samples" in printed
    assert "losses by two numbers" in printed
