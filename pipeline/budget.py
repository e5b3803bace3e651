"""The schedule for a number of minutes: the mix of the presets, as long as this machine can train it.

A short training spends its time on small images, a long one on larger ones; the presets say in which shares.
"""

import json
from pathlib import Path

import numpy as np

from lake.errors import UsageError
from pipeline.distributed import World, world_size
from pipeline.model import choose_device
from pipeline.progress import Progress
from pipeline.settings import PRESETS, Phase, Settings
from pipeline.train import Trainer, TrainingSet, start
from pipeline.workspace import hash_facts, package_versions

MIXES = ("quick", "standard", "full")
TIMED_STEPS = 4


def fit_schedule(settings: Settings, data: TrainingSet, progress: Progress) -> Settings:
    """The settings with phases that take `settings.minutes` here, said beforehand; unchanged where none are asked.

    What was measured is kept in the work folder, so that the next refresh plans the same training.
    """
    if settings.minutes is None:
        return settings
    if world_size() > 1:
        raise UsageError("minutes is for one process: with torchrun, set phases.")
    mixes = [[Phase(**phase) for phase in PRESETS[name]["phases"]] for name in MIXES]
    speed = _known_speed(settings, data, sorted({p.resolution for mix in mixes for p in mix}), progress)
    phases = fill(settings.minutes * 60, mixes, speed, size=len(data.label_N))
    progress.say(f"{settings.minutes:g} minutes of training: {in_words(phases, speed, size=len(data.label_N))}.")
    return settings.model_copy(update={"phases": phases})


def fill(seconds: float, mixes: list[list[Phase]], speed: dict[int, float], *, size: int) -> list[Phase]:
    """Phases that take `seconds` at `speed` (images per second by resolution) over `size` training images.

    The share of time at each resolution lies between those of the next shorter and the next longer mix.
    """
    spent = np.array(
        [[sum(p.epochs for p in mix if p.resolution == r) * size / speed[r] for r in speed] for mix in mixes]
    )
    total = spent.sum(1)
    shares = [np.interp(np.log(seconds), np.log(total), share) for share in (spent / total[:, None]).T]
    epochs = {r: round(float(share * seconds * speed[r] / size), 3) for r, share in zip(speed, shares, strict=True)}
    return [Phase(resolution=r, epochs=e) for r, e in epochs.items() if e > 0]


def in_words(phases: list[Phase], speed: dict[int, float], *, size: int) -> str:
    """Each phase with its epochs, speed and minutes."""
    return ", ".join(
        f"{p.epochs:g} epochs at {p.resolution} px ({speed[p.resolution]:.0f} images/s, "
        f"{p.epochs * size / speed[p.resolution] / 60:.1f} min)"
        for p in phases
    )


def measure_speed(settings: Settings, data: TrainingSet, resolution: int) -> float:
    """Images per second of a few real training steps at a resolution, the first one left out."""
    epochs = TIMED_STEPS * settings.batch_size / len(data.label_N)
    trial = settings.model_copy(update={"phases": [Phase(resolution=resolution, epochs=epochs)]})
    device = choose_device(settings.device)
    state = start(data, trial, device)
    with Progress(quiet=True).task("speed", TIMED_STEPS) as task:
        Trainer(data, trial, state, World(), device).run(task, save=lambda: None)
    return float(np.median([row["images_per_second"] for row in state.telemetry[1:]]))


def _known_speed(settings: Settings, data: TrainingSet, resolutions: list[int], progress: Progress) -> dict[int, float]:
    facts = settings.model_dump(include={"batch_size", "optimizer", "ns_steps", "threads", "device"})
    path = Path(settings.work_dir) / f"speed-{hash_facts([facts, resolutions, package_versions()])}.json"
    if not path.exists():
        progress.say("Measuring how fast this machine trains ...")
        speed = {r: measure_speed(settings, data, r) for r in resolutions}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(speed))
    return {int(r): value for r, value in json.loads(path.read_text()).items()}
