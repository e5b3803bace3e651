"""Training: planned beforehand, reproducible, and equal to itself after an interruption."""

import numpy as np
import polars as pl
import pytest
import torch

from lake.errors import UserError
from pipeline import train as training
from pipeline.model import create_model, load_checkpoint, save_checkpoint
from pipeline.progress import Progress
from pipeline.train import augment, one_cycle, plan_batches
from tests.drawn import CLASSES, drawn_dataset, tiny_settings

QUIET = Progress(quiet=True)


@pytest.fixture
def data():
    dataset = drawn_dataset(160)
    rows = dataset.rows("train")
    return dataset.images_NHWC[rows], dataset.label[rows]


def fit(data, folder, **changes):
    folder.mkdir(exist_ok=True)
    settings = tiny_settings(
        folder, **{"phases": [{"resolution": 8, "epochs": 1}, {"resolution": 16, "epochs": 1}]} | changes
    )
    return training.train(*data, len(CLASSES), settings, QUIET, folder / "training.safetensors")


def test_each_pass_shows_every_image_once_and_flips_alternate(tmp_path):
    settings = tiny_settings(tmp_path, phases=[{"resolution": 16, "epochs": 2}], batch_size=10)
    batches = plan_batches(100, settings)
    first, second = batches[:10], batches[10:]
    assert sorted(np.concatenate([b.rows for b in first])) == list(range(100))
    flips = {int(r): bool(f) for b in first for r, f in zip(b.rows, b.flip, strict=True)}
    assert all(bool(f) != flips[int(r)] for b in second for r, f in zip(b.rows, b.flip, strict=True))


def test_the_rate_rises_then_falls_to_zero():
    rates = [one_cycle(p, warmup=0.2) for p in np.linspace(0.01, 0.99, 99)]
    assert max(rates) == pytest.approx(1, abs=0.02)
    assert rates.index(max(rates)) == pytest.approx(19, abs=1)
    assert rates[0] < 0.1 and rates[-1] < 0.02


def test_augmented_images_are_shifted_by_at_most_an_eighth(tmp_path):
    batch = plan_batches(64, tiny_settings(tmp_path, batch_size=32))[0]
    images = torch.arange(32 * 16 * 16 * 3).reshape(32, 16, 16, 3).remainder(251).to(torch.uint8)
    shown = augment(images, batch, seed=0)
    assert shown.shape == images.shape and shown.dtype == torch.uint8
    assert torch.equal(shown, augment(images, batch, seed=0))
    assert not torch.equal(shown, augment(images, batch, seed=1))


def test_equal_seeds_give_equal_weights(data, tmp_path):
    first, _ = fit(data, tmp_path / "a")
    again, _ = fit(data, tmp_path / "b")
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))


def test_a_resumed_training_equals_an_uninterrupted_one(data, tmp_path, monkeypatch):
    whole, telemetry = fit(data, tmp_path / "whole")
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    save, steps = training._save, []

    def save_then_die(*arguments):
        save(*arguments)
        steps.append(arguments[3])
        if len(steps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save", save_then_die)
    with pytest.raises(KeyboardInterrupt):
        fit(data, tmp_path / "cut")
    resumed, rows = fit(data, tmp_path / "cut")
    pairs = zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    timing = pl.exclude("images_per_second")
    assert rows.select(timing).equals(telemetry.select(timing))


def test_a_diverging_training_stops_in_words(data, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "normalize", lambda images: images.permute(0, 3, 1, 2).float() * float("nan"))
    with pytest.raises(UserError, match=r"Training diverged: the loss is nan at step 0\. Lower learning_rate"):
        fit(data, tmp_path / "nan")


def test_a_checkpoint_comes_back_with_its_facts_and_a_damaged_one_is_refused(tmp_path):
    model, path = create_model(4), tmp_path / "model.safetensors"
    save_checkpoint(model, path, {"classes": CLASSES})
    loaded, facts = load_checkpoint(path, 4)
    assert facts == {"classes": CLASSES}
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="cannot be loaded"):
        load_checkpoint(path, 4)


def test_the_classifier_keeps_the_resolution_of_small_images():
    model = create_model(10)
    x = torch.zeros(1, 3, 32, 32)
    x = model.layer1(model.maxpool(model.act1(model.bn1(model.conv1(x)))))
    sizes = [x.shape[-1]]
    for layer in (model.layer2, model.layer3, model.layer4):
        x = layer(x)
        sizes.append(x.shape[-1])
    assert sizes == [32, 16, 8, 4]
