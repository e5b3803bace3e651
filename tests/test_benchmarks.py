"""What the benchmarks compute by themselves: counts of work and the time at which an accuracy is reached."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from benchmarks import bench
from benchmarks.lake import similar
from benchmarks.pages import interactions, load, opening, table
from benchmarks.pipeline import external_predictions as external
from benchmarks.pipeline import stages, streaming
from benchmarks.pipeline.train import flops_of_an_image, orthogonalization_flops, seconds_to
from tests.support.lakes.synthetic import build_synthetic_lake


def test_an_image_costs_three_forward_passes() -> None:
    forward = 2 * 0.555e9
    assert flops_of_an_image(32) == pytest.approx(3 * forward, rel=0.02)
    assert flops_of_an_image(16) == pytest.approx(3 * forward / 4, rel=0.02)


def test_newton_schulz_costs_grow_with_its_steps() -> None:
    assert orthogonalization_flops(4) == 2 * orthogonalization_flops(2)


def test_a_target_is_reached_between_the_trainings_that_enclose_it() -> None:
    runs = [(400.0, 0.9), (100.0, 0.7)]
    assert seconds_to(0.7, runs) == pytest.approx(100)
    assert seconds_to(0.8, runs) == pytest.approx(200)
    assert seconds_to(0.95, runs) is None
    assert seconds_to(0.6, runs) is None


def test_drawn_vectors_have_unit_length_and_nearest_that_are_near() -> None:
    drawn = similar.clustered(3000, 64, np.random.default_rng(0))
    assert np.linalg.norm(drawn, axis=1) == pytest.approx(np.ones(3000), abs=1e-5)
    cosine = drawn @ drawn.T - 2 * np.eye(3000)
    assert np.median(cosine.max(1)) > 0.5 > 10 * abs(np.median(cosine))


def test_recall_is_the_share_of_the_expected_that_was_found() -> None:
    assert similar.recall([np.array([1, 2]), np.array([5])], [np.array([1, 3]), np.array([5])]) == 0.75


def test_the_benchmark_of_similar_runs(tiny_lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    similar.main(Path(tiny_lake), samples=1500, exact_samples=300, features=32, queries=20)
    assert capsys.readouterr().out.count("ratio of medians") == 4


@pytest.mark.long
def test_the_benchmark_of_streaming_trains_the_same_from_the_file_as_from_memory(
    tiny_lake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    streaming.main(tiny_lake, steps=3, resolution=8, batch_size=16, folder=tmp_path)
    printed = capsys.readouterr().out
    assert "240 images decoded to a mapped file" in printed
    rows = [line.split("│") for line in printed.splitlines() if "mapped  " in line or "in memory " in line]
    assert len({row[-2].strip() for row in rows}) == 1
    assert "speed from the file over that from memory" in printed


def test_an_exponent_is_the_slope_of_the_logarithms() -> None:
    assert stages.exponent([100, 200, 400], [1.0, 2.0, 4.0]) == pytest.approx(1)
    assert stages.exponent([100, 1000], [1.0, 100.0]) == pytest.approx(2)


@pytest.mark.long
def test_the_benchmark_of_stages_runs_and_holds_neighbours_to_exact_ones(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stages, "apart", lambda work: work())
    monkeypatch.setattr(stages, "FEATURES", 32)
    stages.main(sizes="600,1200,2400")
    printed = capsys.readouterr().out
    assert all(f"{name}: " in printed for name in stages.STAGES)
    recall = re.findall(r"recall@15 ([\d.]+) ([\d.]+) ([\d.]+)", " ".join(printed.replace("│", " ").split()))
    assert min(float(value) for value in recall[0]) >= stages.WANTED_RECALL


@pytest.mark.long
def test_the_benchmark_of_readers_clicks_through_pages_without_errors(
    tiny_lake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(1) as another, pytest.raises(SystemExit):  # in this one the browser of tests has its loop
        another.submit(load.main, Path(tiny_lake), readers=2, seconds=6, think=0.5).result()
    said = capsys.readouterr().out
    assert "240 samples, 2 readers" in said
    assert "; 0 errors" in said


def test_the_images_of_a_page_are_found_in_its_messages() -> None:
    message = b'\x12"thumbnails/tiny-240-0/7.png"thumbnails/tiny-240-0/8.png\x00 pictures/2026-a.png?f=label.is.cat"'
    assert load.IMAGE.findall(message) == [
        b"thumbnails/tiny-240-0/7.png",
        b"thumbnails/tiny-240-0/8.png",
        b"pictures/2026-a.png?f=label.is.cat",
    ]


@pytest.mark.long
def test_the_benchmark_of_the_table_runs_on_a_lake_of_many_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = build_synthetic_lake(str(tmp_path / "lake"), 700, features=16)
    monkeypatch.setenv("LATENTLAKE_LAKE", lake.root)
    table.main(Path(lake.root), repeats=3)
    printed = capsys.readouterr().out
    assert "700 samples" in printed
    assert "losses by two numbers" in printed


def _rounds(seed: int, *, slower: float = 1.0) -> bench.Rounds:
    """Six rounds, each on a machine that is as fast as it is then."""
    rng = np.random.default_rng(seed)
    speed = np.random.default_rng(99).lognormal(0, 0.3, 6)
    return [{"open": (pace * slower * rng.lognormal(0, 0.05, 10)).tolist()} for pace in speed]


def test_a_slower_action_is_told_from_a_slower_machine() -> None:
    (found,) = bench.compare(_rounds(1, slower=1.3), _rounds(2))
    assert found.slower
    assert found.low < 1.3 < found.high


def test_equal_codes_are_called_slower_in_no_more_than_one_of_a_hundred() -> None:
    called = [bench.compare(_rounds(seed), _rounds(seed + 1000))[0].slower for seed in range(300)]
    assert np.mean(called) <= 0.01


def test_one_round_alone_proves_nothing() -> None:
    (found,) = bench.compare(_rounds(1, slower=5)[:1], _rounds(2)[:1])
    assert not found.slower


@pytest.mark.long
def test_the_bench_measures_this_code_against_another_and_keeps_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTLAKE_CACHE_DIR", str(tmp_path))
    results = tmp_path / "results.json"
    with pytest.raises(SystemExit) as stopped:
        bench.main(samples=3000, rounds=2, repeats=3, features=16, against="HEAD", results=results)
    kept = json.loads(results.read_text())
    assert stopped.value.code == int(any(one["low"] > bench.TOLERATED for one in kept["against"]))
    assert kept["seconds"].keys() == {"first page of a new server", *interactions.ACTIONS}
    assert {one["action"] for one in kept["against"]} == kept["seconds"].keys()
    assert kept["seconds"]["overview"]["n"] == 6
    assert not (tmp_path / "code").exists()


@pytest.mark.long
def test_the_benchmark_of_external_predictions_publishes_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    external.main(samples=1000, classes=3, features=0, rounds=1)
    printed = capsys.readouterr().out
    assert "published after" in printed and "findings" in printed
    assert "ratio of medians" in printed


def test_half_of_the_first_class_is_drawn_as_the_second() -> None:
    drawn = external.draw_predictions(4000, 5, 8)
    first = drawn.filter(label="class 0")
    taken = (first["probabilities"].list.arg_max() == 1).mean()
    assert taken == pytest.approx(0.5, abs=0.07)
    assert drawn["embedding"].list.len().unique().to_list() == [8]


@pytest.mark.long
@pytest.mark.browser
def test_the_benchmark_of_pages_waits_until_a_page_is_drawn(tiny: str, browser: Browser) -> None:
    assert 0 < opening.open_in_new_browser(browser, f"{tiny}/runs") < 60
