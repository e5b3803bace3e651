"""Training: reproducible, equal to itself after an interruption, and the same in two processes as in one."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from timm.optim import muon as timm_muon

from lake.errors import UsageError, UserError
from pipeline.engine.progress import Progress
from pipeline.model import classifier
from pipeline.model import train as training
from pipeline.model.classifier import resize
from pipeline.model.distributed import joined
from pipeline.model.muon import choose_muon
from pipeline.model.snapshot import save_snapshot
from pipeline.model.train import Trained, TrainingSet, create_optimizer, start, training_set
from pipeline.settings import Settings
from tests.support.data.drawn import drawn_dataset, tiny_settings
from tests.support.paths import REPOSITORY

QUIET = Progress(quiet=True)
FACTS = {"packages": {"torch": "1"}}
CPU = torch.device("cpu")


@pytest.fixture
def data() -> TrainingSet:
    dataset = drawn_dataset(160)
    return training_set(dataset, dataset.rows("train"))


def fit(
    data: TrainingSet, folder: Path, facts: dict[str, Any] = FACTS, progress: Progress = QUIET, **changes: object
) -> Trained:
    folder.mkdir(exist_ok=True)
    settings = tiny_settings(
        folder, **{"phases": [{"resolution": 8, "epochs": 1}, {"resolution": 16, "epochs": 1}]} | changes
    )
    return training.train(data, settings, progress, snapshot=folder / "training.safetensors", facts=facts)


def assert_equal_weights(one: Trained, other: Trained) -> None:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture
def dies_at_third_save(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SECONDS_BETWEEN_SNAPSHOTS", 0)
    taken: list[Any] = []

    def save_then_die(*arguments: Any) -> None:
        save_snapshot(*arguments)
        taken.append(arguments)
        if len(taken) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_snapshot", save_then_die)


def test_equal_seeds_give_equal_weights(data: TrainingSet, tmp_path: Path) -> None:
    assert_equal_weights(fit(data, tmp_path / "a"), fit(data, tmp_path / "b"))


def test_another_seed_gives_another_model(data: TrainingSet, tmp_path: Path) -> None:
    one, other = fit(data, tmp_path / "a"), fit(data, tmp_path / "b", seed=1)
    assert not torch.equal(one.model.get_parameter("fc.weight"), other.model.get_parameter("fc.weight"))


def test_a_resumed_training_equals_an_uninterrupted_one(
    data: TrainingSet, tmp_path: Path, dies_at_third_save: None
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(data, tmp_path / "cut")
    resumed = fit(data, tmp_path / "cut")
    whole = fit(data, tmp_path / "whole", batch_size=48)
    assert_equal_weights(whole, resumed)
    timing = pl.exclude("images_per_second")
    assert resumed.telemetry.select(timing).equals(whole.telemetry.select(timing))
    sample_id = np.arange(len(data.label_N))
    assert resumed.dynamics.frame(sample_id).equals(whole.dynamics.frame(sample_id))


def test_images_resized_batch_by_batch_teach_what_images_resized_beforehand_do(
    data: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side, start_with = 12, training.start
    everything = resize(torch.from_numpy(data.images_MHWC), side).numpy()
    monkeypatch.setattr(training, "start", lambda _, *given: start_with(data, *given))  # the stem sees them as they are
    phases = [{"resolution": side, "epochs": 3}]
    one, other = (fit(given, tmp_path, phases=phases) for given in (data, replace(data, images_MHWC=everything)))
    assert_equal_weights(one, other)
    sample_id = np.arange(len(data.label_N))
    assert one.dynamics.frame(sample_id).equals(other.dynamics.frame(sample_id))


def test_only_the_asked_rows_are_copied(data: TrainingSet) -> None:
    chosen = np.array([5, 0, 7])
    taken = data.take(chosen)
    assert np.array_equal(taken, data.images_MHWC[data.row_N[chosen]])
    assert not np.shares_memory(taken, data.images_MHWC)


def said_when_resumed(
    data: TrainingSet, folder: Path, capsys: pytest.CaptureFixture[str], facts: dict[str, Any] = FACTS
) -> str:
    fit(data, folder, facts=facts, progress=Progress())
    return capsys.readouterr().out


def test_a_training_interrupted_under_other_packages_starts_again(
    data: TrainingSet, tmp_path: Path, dies_at_third_save: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(data, tmp_path)
    said = said_when_resumed(data, tmp_path, capsys, facts={"packages": {"torch": "2"}})
    assert "The interrupted training used different packages: training starts again" in said


def test_a_damaged_snapshot_starts_again(data: TrainingSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "training.safetensors").write_bytes(b"\x00" * 100)
    assert "cannot be read" in said_when_resumed(data, tmp_path, capsys)


def test_a_finished_training_leaves_no_snapshot(
    data: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SECONDS_BETWEEN_SNAPSHOTS", 0)
    fit(data, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_diverging_training_stops_in_words(
    data: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nan = lambda images, _: images.permute(0, 3, 1, 2).float() * float("nan")  # noqa: E731
    start_with = training.start(data, tiny_settings(tmp_path), CPU)
    monkeypatch.setattr(training, "start", lambda *_: start_with)
    monkeypatch.setattr(training, "normalize", nan)
    with pytest.raises(UserError, match=r"Training diverged: the loss is nan at step 0\. Lower learning_rate"):
        fit(data, tmp_path / "nan")


@pytest.mark.parametrize("optimizer", ["muon", pytest.param("sgd", marks=pytest.mark.long)])
def test_both_optimizers_learn_and_decay_convolutions_only(data: TrainingSet, tmp_path: Path, optimizer: str) -> None:
    """On the network that is trained by default."""
    chosen = {"optimizer": optimizer, "model": Settings.model_fields["model"].default}
    settings = tiny_settings(tmp_path, **chosen)
    groups = create_optimizer(start(data, settings, CPU).model, settings).param_groups
    assert [group["weight_decay"] > 0 for group in groups] == [True, False]
    assert {p.ndim for p in groups[0]["params"]} == {4}
    rows = fit(data, tmp_path, **chosen, phases=[{"resolution": 16, "epochs": 4}]).telemetry
    assert rows["loss"][-1] < rows["loss"][0]


@pytest.mark.parametrize("bfloat16", [True, False])
def test_muon_orthogonalises_in_a_format_that_the_processor_multiplies(
    bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    orthogonalize, formats = timm_muon.zeropower_via_newtonschulz, []

    def watch(matrix: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        formats.append(orthogonalize(matrix, *arguments, **options))
        return formats[-1]

    monkeypatch.setattr(classifier, "_cpu_has_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(timm_muon, "zeropower_via_newtonschulz", watch)
    layer = torch.nn.Linear(6, 4, bias=False)
    optimizer = choose_muon(bfloat16=classifier.multiplies_bfloat16(CPU))(layer.parameters(), lr=0.1)
    layer(torch.eye(6)).square().sum().backward()
    optimizer.step()
    assert [found.dtype for found in formats] == [torch.bfloat16 if bfloat16 else torch.float32]
    assert timm_muon.zeropower_via_newtonschulz is watch
    singular = torch.linalg.svdvals(formats[0].float())
    assert singular.min() > 0.6 and singular.max() < 1.3  # what Jordan's coefficients come to


@pytest.mark.long
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    """Same plan, same parts; batch statistics are of half a batch, so weights differ and accuracy agrees in noise."""
    root = REPOSITORY
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    accuracy = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        command = [*torchrun, str(processes), "--module", "tests.support.processes.train_together", str(folder)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=800, check=False)
        assert done.returncode == 0, done.stderr
        ranks = [np.load(folder / f"rank{rank}.npz") for rank in range(processes)]
        assert all(np.array_equal(ranks[0]["weights"], rank["weights"]) for rank in ranks)
        assert all(np.array_equal(ranks[0]["aum"], rank["aum"]) for rank in ranks)
        assert ranks[0]["times_seen"].tolist() == [6] * len(ranks[0]["times_seen"])
        accuracy[processes] = float(ranks[0]["accuracy"])
        assert not list(folder.glob("*.safetensors"))
    assert accuracy[1] > 0.9 and accuracy[2] > 0.9


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with (
        pytest.raises(
            UsageError, match="batch_size = 32 cannot be divided evenly among 3 processes: choose a multiple of 3"
        ),
        joined(CPU, batch_size=32),
    ):
        pass
