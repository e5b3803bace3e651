"""What images in a mapped file cost: making the file from a lake, and training from it beside an array in memory.

    .venv/bin/python -m benchmarks.synthetic /tmp/million --samples 1000000   # if there is no lake
    .venv/bin/python -m benchmarks.streaming /tmp/million

takes about five minutes and 3 GiB of disk for a million images of 32 px. Each measurement has a process of its own, the
trainings in turns; memory is the peak, anonymous (of the process alone) and mapped (that the system can drop).
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

from benchmarks.apart import apart
from benchmarks.clock import seconds_of
from benchmarks.memory import watch_memory
from lake.store import Lake
from pipeline.distributed import World
from pipeline.mapped_images import load_mapped_dataset
from pipeline.model import choose_device
from pipeline.progress import Progress
from pipeline.settings import Phase, Settings, load_settings
from pipeline.train import Trainer, TrainingSet, start

QUIET = Progress(quiet=True)

console = Console(width=140)


@dataclass(frozen=True)
class Turn:
    """What one training was: images per second (median of its steps), bytes, and a hash of its weights."""

    speed: float
    anonymous: int
    mapped: int
    weights: str


def main(
    lake: Annotated[str, typer.Argument(help="Root of a lake.")],
    steps: Annotated[int, typer.Option(help="Of each training.")] = 20,
    turns: Annotated[int, typer.Option(help="Of the two trainings.")] = 3,
    resolution: Annotated[int, typer.Option(help="Side of the training images in pixels.")] = 16,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 256,
    folder: Annotated[Path | None, typer.Option(help="For the file, which stays; else it is removed.")] = None,
) -> None:
    """Print speeds, their ratio, and memory."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        place = folder or Path(temporary)
        _show_decoding(*apart(partial(decode, lake, place)))
        dataset = load_mapped_dataset(Lake(lake).run(), place, QUIET)
        rows = dataset.rows("train")
        given = (next(place.glob("images-*.npy")), rows, dataset.label[rows], len(dataset.classes))
        settings = _settings(steps, resolution, batch_size, len(rows))
        ran: dict[str, list[Turn]] = {"mapped": [], "in memory": []}
        for _ in range(turns):
            for name, done in ran.items():
                done.append(apart(partial(train_from, *given, settings, in_memory=name == "in memory")))
        _show_training(ran, len(dataset), settings)


def decode(lake: str, folder: Path) -> tuple[int, float, int]:
    """How many images were mapped, in how many seconds, at which peak of anonymous memory in bytes."""
    run, found = Lake(lake).run(), []
    with watch_memory() as peak:
        seconds = seconds_of(lambda: found.append(load_mapped_dataset(run, folder, QUIET)))
    return len(found[0]), seconds, peak["anonymous"]


def train_from(
    file: Path,
    row_N: NDArray[np.int64],
    label_N: NDArray[np.int64],
    classes: int,
    settings: Settings,
    *,
    in_memory: bool,
) -> Turn:
    """A training on the rows of a file of images, mapped or read into memory."""
    images_MHWC = np.load(file) if in_memory else np.load(file, mmap_mode="r")
    data, device = TrainingSet(images_MHWC, row_N, label_N, classes), choose_device(settings.device)
    torch.set_num_threads(settings.threads)
    with watch_memory() as peak:
        state = start(data, settings, device)
        trainer = Trainer(data, settings, state, World(), device)
        with QUIET.task("train", len(trainer.batches)) as task:
            trainer.run(task, save=lambda: None)
    speed = float(np.median([row["images_per_second"] for row in state.telemetry[1:]]))
    weights = torch.cat([p.detach().flatten().cpu() for p in state.model.parameters()]).numpy()
    return Turn(speed, peak["anonymous"], peak["mapped"], hashlib.sha256(weights.tobytes()).hexdigest()[:12])


def _settings(steps: int, resolution: int, batch_size: int, size: int) -> Settings:
    phase = Phase(resolution=resolution, epochs=steps * batch_size / size)
    return load_settings(preset="quick", batch_size=batch_size).model_copy(update={"phases": [phase]})


def _show_decoding(count: int, seconds: float, anonymous: int) -> None:
    console.print(
        f"{count:,} images decoded to a mapped file in {seconds:.0f} s, {count / seconds:,.0f} a second; "
        f"peak anonymous memory {anonymous / 2**20:,.0f} MiB"
    )


def _show_training(ran: dict[str, list[Turn]], count: int, settings: Settings) -> None:
    side = settings.resolution
    table = Table(
        f"{count:,} images, {side} px", "images/s, each turn", "median", "anonymous MiB", "mapped MiB", "weights"
    )
    for name, turns in ran.items():
        speeds = [turn.speed for turn in turns]
        memory = [f"{max(sizes) / 2**20:,.0f}" for sizes in zip(*((t.anonymous, t.mapped) for t in turns), strict=True)]
        hashes = ", ".join(sorted({turn.weights for turn in turns}))
        each = ", ".join(f"{speed:.0f}" for speed in speeds)
        table.add_row(name, each, f"{np.median(speeds):.0f}", *memory, hashes)
    console.print(table)
    pairs = zip(ran["mapped"], ran["in memory"], strict=True)
    console.print(f"speed from the file over that from memory: {np.median([a.speed / b.speed for a, b in pairs]):.3f}")


if __name__ == "__main__":
    typer.run(main)
