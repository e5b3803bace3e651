"""Measure the cost of images in a mapped file: creating it from a lake, and training from it instead of from memory.

    .venv/bin/python -m tests.support.lakes.synthetic /tmp/million --samples 1000000   # if there is no lake
    .venv/bin/python -m benchmarks.pipeline.streaming /tmp/million

Takes about three minutes and 3 GiB of disk and memory for a million images of 32 px. Memory is measured in a separate
process for each part, as the peak of anonymous memory (of the process alone) and of mapped memory (which the system can
drop). Speeds are compared in one process, alternating step by step.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.support.apart import apart
from benchmarks.support.clock import seconds_of
from benchmarks.support.memory import watch_memory
from lake.storage.store import Lake
from pipeline.data.memmap_dataset import load_mapped_dataset
from pipeline.engine.progress import Progress
from pipeline.model.classifier import choose_device
from pipeline.model.distributed import World
from pipeline.model.train import Trainer, TrainingSet, start
from pipeline.settings import Phase, Settings, load_settings

KINDS = {"mapped": False, "in memory": True}
"""Whether all images are held in memory."""
QUIET = Progress(quiet=True)
Rows = NDArray[np.int64]

console = Console(width=140)


@dataclass(frozen=True)
class Memory:
    """Peak memory of one training in bytes, and a hash of its weights."""

    anonymous: int
    mapped: int
    weights: str


def main(
    lake: Annotated[str, typer.Argument(help="Root of a lake.")],
    steps: Annotated[int, typer.Option(help="Of each training.")] = 20,
    resolution: Annotated[int, typer.Option(help="Side of the training images in pixels.")] = 16,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 256,
    folder: Annotated[Path | None, typer.Option(help="For the file, which stays; else it is removed.")] = None,
) -> None:
    """Print speeds, their ratio, and memory."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        place = folder or Path(temporary)
        _show_decoding(*apart(partial(decode, lake, place)))
        dataset = load_mapped_dataset(Lake(lake).run(), place, QUIET)
        rows, file = dataset.rows("train"), next(place.glob("images-*.npy"))
        data = TrainingSet(dataset.images_NHWC, rows, dataset.label[rows], len(dataset.classes))
        settings = _settings(steps, resolution, batch_size, len(rows))
        given = (file, data.row_N, data.label_N, data.num_classes, settings)
        memory = {name: apart(partial(train_from, *given, held=held)) for name, held in KINDS.items()}
        pairs_S2 = apart(partial(compare, *given))
    _show_training(memory, pairs_S2, len(dataset), settings)


def decode(lake: str, folder: Path) -> tuple[int, float, int]:
    """Number of images mapped, the seconds that took, and the peak of anonymous memory in bytes."""
    run, found = Lake(lake).run(), []
    with watch_memory() as peak:
        seconds = seconds_of(lambda: found.append(load_mapped_dataset(run, folder, QUIET)))
    return len(found[0]), seconds, peak["anonymous"]


def train_from(file: Path, row_N: Rows, label_N: Rows, classes: int, settings: Settings, *, held: bool) -> Memory:
    """Train on rows of a file of images that is mapped, or held in memory."""
    with watch_memory() as peak:
        stepper = Stepper(file, row_N, label_N, classes, settings, held=held)
        for _ in range(stepper.steps):
            stepper.step()
    weights = torch.cat([p.detach().flatten().cpu() for p in stepper.state.model.parameters()]).numpy()
    return Memory(peak["anonymous"], peak["mapped"], hashlib.sha256(weights.tobytes()).hexdigest()[:12])


def compare(file: Path, row_N: Rows, label_N: Rows, classes: int, settings: Settings) -> NDArray[np.float64]:
    """Seconds of each step of both trainings [S, 2], alternating, without the first step."""
    both = [Stepper(file, row_N, label_N, classes, settings, held=held) for held in KINDS.values()]
    return np.array([[seconds_of(one.step) for one in both] for _ in range(both[0].steps)])[1:]


class Stepper:
    """A training that advances by one step at a time."""

    def __init__(self, file: Path, row_N: Rows, label_N: Rows, classes: int, settings: Settings, *, held: bool) -> None:
        data = TrainingSet(np.load(file, mmap_mode=None if held else "r"), row_N, label_N, classes)
        device = choose_device(settings.device)
        torch.set_num_threads(settings.threads)
        self.state = start(data, settings, device)
        self._trainer = Trainer(data, settings, self.state, World(), device)
        self._plan = self._trainer.batches
        self.steps = len(self._plan)

    def step(self) -> None:
        """Run the next step of the plan."""
        self._trainer.batches = self._plan[: self.state.step + 1]
        with QUIET.task("step", 1) as task:
            self._trainer.run(task, save=lambda: None)


def _settings(steps: int, resolution: int, batch_size: int, size: int) -> Settings:
    phase = Phase(resolution=resolution, epochs=steps * batch_size / size)
    return load_settings(preset="quick", batch_size=batch_size).model_copy(update={"phases": [phase]})


def _show_decoding(count: int, seconds: float, anonymous: int) -> None:
    console.print(
        f"{count:,} images decoded to a mapped file in {seconds:.0f} s, {count / seconds:,.0f} a second; "
        f"peak anonymous memory {anonymous / 2**20:,.0f} MiB"
    )


def _show_training(memory: dict[str, Memory], pairs_S2: NDArray[np.float64], count: int, settings: Settings) -> None:
    names = ("images/s, median", "fastest", "anonymous MiB", "mapped MiB", "weights")
    table = Table(f"{count:,} images, {settings.resolution} px", *names)
    for (name, used), seconds in zip(memory.items(), pairs_S2.T, strict=True):
        speeds = [f"{settings.batch_size / value:.0f}" for value in (np.median(seconds), seconds.min())]
        table.add_row(name, *speeds, f"{used.anonymous / 2**20:,.0f}", f"{used.mapped / 2**20:,.0f}", used.weights)
    console.print(table)
    ratio = np.median(pairs_S2[:, 1] / pairs_S2[:, 0])
    console.print(f"speed from the file over that from memory: {ratio:.3f} (median of {len(pairs_S2)} pairs of steps)")


if __name__ == "__main__":
    typer.run(main)
