"""The proofs of loss maps: they hold where maps are right, and fail where maps are wrong on purpose."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from lake.storage.store import Lake, Run
from pipeline.checks import loss_maps as loss_map_checks
from pipeline.checks.loss_maps import Subject, check_maps, occlusion_effects, rank_correlations
from pipeline.checks.run import MAPS, PLANTED, check_again
from pipeline.engine.progress import Progress
from pipeline.loss_maps.hirescam import Explainer, Target
from pipeline.measure.score import Scorer
from pipeline.model.published_model import load_model
from tests.support.data.drawn import drawn_dataset
from tests.support.data.scalars import number

QUIET = Progress(quiet=True)
BARS = {
    "closed form": 1e-4,
    "finite difference": 0.05,
    "same bytes": 1.0,
    "occlusion": 0.4,
    "occlusion over a random map": 0.2,
    "occlusion over a map of edges": 0.2,
    "occlusion sign": 0.7,
    "random network": 0.3,
    "deletion": 0.7,
    "mosaics": 0.8,
}


@pytest.fixture(scope="module")
def run(drawn_folder: Path) -> Run:
    return Lake(drawn_folder / "lake").run()


@pytest.fixture(scope="module")
def hard(run: Run) -> Subject:
    """The drawn model on shapes under so much noise that it errs; with the maps of their labels."""
    stored, dataset = load_model(run), drawn_dataset(400, seed=3)
    rng = np.random.default_rng(0)
    faint = 128 + 0.3 * (dataset.images_NHWC - 128.0)
    images = (faint + rng.normal(0, 60, faint.shape)).clip(0, 255).astype(np.uint8)
    label = np.arange(400) % 4
    scorer = Scorer(stored.model, stored.resolution)
    p = scorer({"sample_id": dataset.sample_id, "images_NHWC": images})["logits"] / stored.temperature
    p = np.exp(p - p.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    predicted = p.argmax(1)
    samples = pl.DataFrame(
        {
            "sample_id": dataset.sample_id,
            "label": [dataset.classes[i] for i in label],
            "predicted": [dataset.classes[i] for i in predicted],
            "correct": predicted == label,
            "confidence": p.max(1).astype(float),
        }
    )
    assert 20 < (predicted != label).sum() < 380
    return Subject(stored, dataset.classes, samples, images)


def checked_maps(subject: Subject) -> pl.LazyFrame:
    """Rows of `loss_maps` of which the red quarter takes more in two of three."""
    n = len(subject.samples)
    without = pl.Series(np.where(np.arange(n) % 3 == 0, 1.0, 0.2))
    return (
        subject.samples.lazy()
        .select("sample_id", target="label", layer=pl.lit("layer3"))
        .with_columns(loss_without_red=without, loss_without_other=0.5)
    )


@pytest.fixture(scope="module")
def proven(hard: Subject) -> dict[str, dict[str, Any]]:
    found = check_maps(hard, checked_maps(hard), seed=0, progress=QUIET)
    return {row["proof"]: row for row in found.iter_rows(named=True)}


def test_exact_proofs_hold(proven: dict[str, dict[str, Any]]) -> None:
    assert proven["closed form"]["value"] <= 1e-4
    for layer in ("layer3", "layer4"):
        assert proven[f"finite difference, {layer}"]["value"] <= 0.05
        assert proven[f"finite difference, {layer}"]["n"] >= 20
    assert proven["same bytes"]["holds"] is True


def test_no_bar_is_moved_without_being_moved_here_too(proven: dict[str, dict[str, Any]]) -> None:
    assert {name.partition(",")[0]: row["bar"] for name, row in proven.items()} == BARS


def test_maps_depend_on_what_was_learnt(proven: dict[str, dict[str, Any]]) -> None:
    assert proven["random network, layer3"]["value"] <= 0.3


def test_the_deletion_counts_all_misclassified_samples(hard: Subject, proven: dict[str, dict[str, Any]]) -> None:
    wrong = hard.samples.with_row_index().filter(~pl.col("correct"))
    hits = (wrong["index"] % 3 != 0).sum()
    row = proven["deletion, layer3"]
    assert (row["n"], row["value"]) == (len(wrong), pytest.approx(hits / len(wrong)))
    assert row["low"] < row["value"] < row["high"] and row["holds"] == (row["value"] >= 0.7)
    assert proven["deletion, layer4"]["holds"] is None and proven["deletion, layer4"]["value"] is None


def test_each_proof_says_what_was_measured_on_how_many(proven: dict[str, dict[str, Any]]) -> None:
    assert all(row["claim"] and row["bar"] is not None for row in proven.values())
    assert all((row["value"] is None) == (row["n"] < 20) for row in proven.values())


class Flipped(Explainer):
    """Maps with the wrong sign."""

    def explain(self, images_NCHW: torch.Tensor, targets: list[Target]) -> dict[str, NDArray[np.float32]]:
        return {layer: -maps for layer, maps in super().explain(images_NCHW, targets).items()}


def test_maps_with_the_wrong_sign_fail(hard: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_map_checks, "Explainer", Flipped)
    found = check_maps(hard.part(np.arange(60)), checked_maps(hard), seed=0, progress=QUIET)
    failed = set(found.filter(~pl.col("holds"))["proof"])
    assert {"closed form", "finite difference, layer3", "occlusion, layer3"} <= failed


def test_a_network_is_not_told_from_itself(hard: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_map_checks, "create_model", lambda *_: hard.stored.model)
    rows = {row["proof"]: row for row in loss_map_checks._random_network(hard, 0)}
    assert rows["random network, layer3"]["value"] == pytest.approx(1, abs=0.02)
    assert number(rows["random network, layer3"]["value"]) > 0.3


def test_an_effect_is_what_blurring_a_patch_takes_off_the_loss(hard: Subject) -> None:
    few = hard.part(np.arange(6))
    effect = occlusion_effects(few, 4, 4)
    assert effect.shape == (6, 4, 4) and np.abs(effect).max() > 0


def test_rank_correlations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (7, 4, 4)), rng.normal(size=(7, 4, 4))
    expected = [spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b, strict=True)]
    assert rank_correlations(a, b) == pytest.approx(expected)
    assert rank_correlations(np.ones((1, 2, 2)), b[:1, :2, :2]) == [0]


def test_a_published_run_is_proven_again_with_the_same_figures(run: Run) -> None:
    stored = run.scan("proofs").drop("run_id").sort("subject", "proof").collect()
    again = check_again(run, QUIET, MAPS + PLANTED).sort("subject", "proof")
    assert json.loads(run.facts["config"])["seed"] == 0
    assert again.select("proof", "n", "holds").equals(stored.select("proof", "n", "holds"))
    now, then = (frame["value"].drop_nulls().to_list() for frame in (again, stored))
    assert now == pytest.approx(then, rel=0.02, abs=1e-6)
