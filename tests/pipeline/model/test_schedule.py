"""The plan: known beforehand, every image once a pass, alternating flips, and as many minutes as asked for."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lake.errors import UsageError
from pipeline.engine.progress import Progress
from pipeline.model import time_budget
from pipeline.model.augment import augment, draw_shifts
from pipeline.model.schedule import one_cycle, plan_batches
from pipeline.model.time_budget import fit_schedule, in_words, nearest, stretch
from pipeline.model.train import training_set
from pipeline.settings import PRESETS, Phase
from tests.support.data.drawn import drawn_dataset, tiny_settings

SHORT = [Phase(resolution=16, epochs=2)]
LONG = [Phase(resolution=16, epochs=8), Phase(resolution=32, epochs=4)]
SPEED = {16: 400.0, 32: 100.0}
SIZE = 40_000


def seconds(phases: list[Phase]) -> float:
    return sum(p.epochs * SIZE / SPEED[p.resolution] for p in phases)


def test_each_pass_shows_every_image_once_and_flips_alternate(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, phases=[{"resolution": 16, "epochs": 2}], batch_size=10)
    batches = plan_batches(100, settings)
    first, second = batches[:10], batches[10:]
    assert sorted(np.concatenate([b.rows for b in first])) == list(range(100))
    flips = {int(r): bool(f) for b in first for r, f in zip(b.rows, b.flip, strict=True)}
    assert all(bool(f) != flips[int(r)] for b in second for r, f in zip(b.rows, b.flip, strict=True))


def test_the_batches_of_a_pass_share_one_order(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, phases=[{"resolution": 16, "epochs": 2}], batch_size=10)
    batches = plan_batches(100, settings)
    assert len({id(batch.rows.base) for batch in batches}) == 2


def test_the_rate_rises_then_falls_to_zero() -> None:
    rates = [one_cycle(p, warmup=0.2) for p in np.linspace(0.01, 0.99, 99)]
    assert max(rates) == pytest.approx(1, abs=0.02)
    assert rates.index(max(rates)) == pytest.approx(19, abs=1)
    assert rates[0] < 0.1 and rates[-1] < 0.02


def test_an_image_moves_as_far_as_said_and_its_border_is_mirrored() -> None:
    image = torch.arange(16, dtype=torch.uint8).reshape(1, 4, 4, 1).expand(1, 4, 4, 3)
    still, mirrored = np.zeros((1, 2), np.int64), np.array([True])
    assert torch.equal(augment(image, np.array([False]), still), image)
    assert torch.equal(augment(image, mirrored, still), image.flip(2))
    moved = augment(image, np.array([False]), np.array([[1, 0]]))
    assert torch.equal(moved[0, 1:], image[0, :-1])
    assert torch.equal(moved[0, 0], image[0, 1])


def test_shifts_stay_within_the_padding_and_depend_on_seed_and_step() -> None:
    shift = draw_shifts(1000, 32, 0.125, seed=0, step=3)
    assert shift.min() == -4 and shift.max() == 4
    assert (shift == draw_shifts(1000, 32, 0.125, seed=0, step=3)).all()
    assert (shift != draw_shifts(1000, 32, 0.125, seed=0, step=4)).any()
    assert not draw_shifts(10, 32, 0.0, seed=0, step=0).any()


@pytest.mark.parametrize("minutes", [1, 3, 12, 40, 200])
def test_the_phases_take_the_minutes_asked_for_in_equal_shares(minutes: int) -> None:
    phases = stretch(minutes * 60, LONG, SPEED, size=SIZE)
    assert seconds(phases) == pytest.approx(minutes * 60, rel=0.01)
    assert phases[0].epochs / phases[1].epochs == pytest.approx(2, rel=0.01)


def test_a_budget_of_a_preset_is_the_preset() -> None:
    for mix in (SHORT, LONG):
        assert stretch(seconds(mix), mix, SPEED, size=SIZE) == mix


def test_the_schedule_nearest_in_length_is_taken() -> None:
    schedules = {"short": SHORT, "long": LONG}  # 200 s and 2,400 s, as far from 693 s
    lengths = (20, 600, 800, 9000)
    assert [nearest(s, schedules, SPEED, size=SIZE) for s in lengths] == ["short", "short", "long", "long"]


def test_the_plan_is_said_in_minutes() -> None:
    assert in_words(LONG, SPEED, size=SIZE) == (
        "8 epochs at 16 px (400 images/s, 13.3 min), 4 epochs at 32 px (100 images/s, 26.7 min)"
    )


def test_the_speed_is_measured_once_so_that_the_next_refresh_plans_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = drawn_dataset(400)
    data = training_set(dataset, dataset.rows("train"))
    settings = tiny_settings(tmp_path, minutes=0.02)
    planned = fit_schedule(settings, data, Progress(quiet=True))
    assert planned.phases != settings.phases and planned.minutes == 0.02
    assert planned.crop_padding == PRESETS["quick"]["crop_padding"], "the recipe of a short training"
    asked = fit_schedule(settings.model_copy(update={"crop_padding": 0.2}), data, Progress(quiet=True))
    assert asked.crop_padding == 0.2, "what a person sets stays"
    monkeypatch.setattr(time_budget, "measure_speed", lambda *_: pytest.fail("measured again"))
    assert fit_schedule(settings, data, Progress(quiet=True)).phases == planned.phases


def test_without_minutes_nothing_is_planned_and_minutes_are_for_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = drawn_dataset(80)
    data = training_set(dataset, dataset.rows("train"))
    settings = tiny_settings(tmp_path)
    assert fit_schedule(settings, data, Progress(quiet=True)) is settings
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="minutes works in a single process only"):
        fit_schedule(tiny_settings(tmp_path, minutes=2), data, Progress(quiet=True))
