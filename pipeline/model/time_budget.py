"""Schedule for a time budget in minutes: that of the preset closest in length, stretched to the available time.

A short training spends its time on small images and does without shifts; a long one needs larger images.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from lake.errors import UsageError
from pipeline.engine.hashing import hash_facts
from pipeline.engine.progress import Progress
from pipeline.engine.stage_cache import package_versions
from pipeline.model.architecture import Architecture, check
from pipeline.model.classifier import DEFAULT, choose_device, create_model
from pipeline.model.distributed import World, world_size
from pipeline.model.train import Trainer, TrainingSet, start
from pipeline.settings import PRESETS, Phase, Settings, preset_phases

RECIPES = ("quick", "standard", "full")
TIMED_STEPS = 4


def fit_schedule(settings: Settings, data: TrainingSet, progress: Progress) -> Settings:
    """The settings with phases that take `settings.minutes` on this machine, reported beforehand.

    Unchanged without a time budget, or with an external checkpoint, which is not trained. The measured speed is cached
    in the work folder, so that the next refresh plans the same training.
    """
    if settings.minutes is None or settings.checkpoint:
        return settings
    if world_size() > 1:
        raise UsageError("minutes works in a single process only: with torchrun, set phases.")
    size, seconds = len(data.label_N), settings.minutes * 60
    recipes = {name: _recipe(name, settings.side) for name in RECIPES}
    schedules: dict[str, list[Phase]] = {name: recipe["phases"] for name, recipe in recipes.items()}
    resolutions = sorted({phase.resolution for phases in schedules.values() for phase in phases})
    speed = _cached_speed(settings, data, resolutions, progress)
    name = nearest(seconds, schedules, speed, size=size)
    phases = stretch(seconds, schedules[name], speed, size=size)
    progress.say(
        f"Training for {settings.minutes:g} minutes on the schedule of {name}: {in_words(phases, speed, size=size)}."
    )
    own = _recipe(settings.preset, settings.side)
    defaults = {key: value for key, value in recipes[name].items() if getattr(settings, key) == own[key]}
    return settings.model_copy(update=defaults | {"phases": phases})


def nearest(seconds: float, schedules: dict[str, list[Phase]], speed: dict[int, float], *, size: int) -> str:
    """The name of the schedule whose length is closest to `seconds`, as a ratio."""
    return min(schedules, key=lambda name: abs(np.log(_seconds(schedules[name], speed, size) / seconds)))


def stretch(seconds: float, phases: list[Phase], speed: dict[int, float], *, size: int) -> list[Phase]:
    """The phases scaled to take `seconds` over `size` training images, keeping their proportions.

    `speed` is in images per second by resolution.
    """
    factor = seconds / _seconds(phases, speed, size)
    return [Phase(resolution=p.resolution, epochs=round(p.epochs * factor, 4)) for p in phases]


def in_words(phases: list[Phase], speed: dict[int, float], *, size: int) -> str:
    """Each phase with its epochs, speed and minutes."""
    return ", ".join(
        f"{p.epochs:g} epochs at {p.resolution} px ({speed[p.resolution]:.0f} images/s, "
        f"{p.epochs * size / speed[p.resolution] / 60:.1f} min)"
        for p in phases
    )


def measure_speed(settings: Settings, data: TrainingSet, resolution: int) -> float:
    """Images per second of a few real training steps at a resolution, not counting the first."""
    epochs = TIMED_STEPS * settings.batch_size / len(data.label_N)
    trial = settings.model_copy(update={"phases": [Phase(resolution=resolution, epochs=epochs)]})
    device = choose_device(settings.device)
    state = start(data, trial, device)
    with Progress(quiet=True).task("speed", TIMED_STEPS) as task:
        Trainer(data, trial, state, World(), device).run(task, save=lambda: None)
    return float(np.median([row["images_per_second"] for row in state.telemetry[1:]]))


def _seconds(phases: list[Phase], speed: dict[int, float], size: int) -> float:
    return sum(p.epochs * size / speed[p.resolution] for p in phases)


def _recipe(preset: str, side: int) -> dict[str, Any]:
    """The training settings of a preset, with defaults for those it leaves open."""
    preset_values, names = PRESETS[preset], ("phases", "warmup", "crop_padding")
    recipe = {name: preset_values.get(name, Settings.model_fields[name].default) for name in names}
    return recipe | {"phases": preset_phases(preset, side)}


def _cached_speed(
    settings: Settings, data: TrainingSet, resolutions: list[int], progress: Progress
) -> dict[int, float]:
    facts = settings.model_dump(include={"model", "batch_size", "optimizer", "ns_steps", "threads", "device"})
    path = Path(settings.work_dir) / f"speed-{hash_facts([facts, resolutions, package_versions()])}.json"
    if not path.exists():
        for side in resolutions if settings.model != DEFAULT.name else []:
            check(create_model(data.num_classes, Architecture(settings.model, side)), [side])
        progress.say("Measuring how fast this machine trains ...")
        speed = {r: measure_speed(settings, data, r) for r in resolutions}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(speed), encoding="utf-8")
    return {int(r): value for r, value in json.loads(path.read_text(encoding="utf-8")).items()}
