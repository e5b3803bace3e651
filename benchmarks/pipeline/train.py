"""Measure how well training uses the machine and how soon it reaches an accuracy, compared with a plain baseline.

    .venv/bin/python -m benchmarks.pipeline.train                     # everything: about two hours on 2 cores
    .venv/bin/python -m benchmarks.pipeline.train --ours "" --plain ""  # peak, share of it and scoring only: 2 minutes

Every figure is a ratio within one run on one machine, so the bfloat16 matrix product and a bare forward loop are
measured here as well. Results so far: benchmarks/training.md.
"""

import itertools
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.support.clock import seconds_of
from pipeline.data.dataset import Dataset
from pipeline.data.load import load_dataset
from pipeline.engine.progress import Progress
from pipeline.measure.score import Scorer
from pipeline.model.classifier import autocast, choose_device, create_model, forward, normalize
from pipeline.model.time_budget import fit_schedule, measure_speed
from pipeline.model.train import train, training_set
from pipeline.settings import Phase, Settings, load_settings

TARGETS = (0.70, 0.80, 0.85, 0.90)
PLAIN = {
    "optimizer": "sgd",
    "learning_rate": 0.2,
    "momentum": 0.9,
    "other_rate_scale": 1.0,
    "weight_decay": 5e-4,
    "warmup": 0.2,
    "crop_padding": 0.125,
    "batch_size": 256,
}
"""Nesterov SGD, one cycle, flips and crops at 32 px throughout: what a tutorial does with this model."""

console = Console()


def main(
    ours: Annotated[str, typer.Option(help="Minutes of our trainings, in order.")] = "4,7,12,25",
    plain: Annotated[str, typer.Option(help="Minutes of the baseline's trainings.")] = "10,20,40",
    seed: int = 0,
) -> None:
    """Print the peak, the share of it, scoring, then the trainings."""
    settings = load_settings(preset="quick", seed=seed)
    torch.set_num_threads(settings.threads)
    dataset = load_dataset(settings, Progress())
    show_share(dataset, settings)
    show_scoring(dataset, settings)
    runs = {
        "ours": [reach(dataset, settings, minutes) for minutes in _numbers(ours)],
        "plain": [reach_plainly(dataset, settings, minutes) for minutes in _numbers(plain)],
    }
    show_targets(runs)


def show_share(dataset: Dataset, settings: Settings) -> None:
    """Print the training speed at each size as a share of the peak of a matrix product."""
    data, peak = training_set(dataset, dataset.rows("train")), matrix_product_peak()
    console.print(f"matrix product: {peak / 1e9:.0f} GFLOP/s in {_number_format()}, {settings.threads} threads")
    table = Table("px", "images/s", "GFLOP an image", "share of peak", "with the optimiser's")
    for resolution in (16, 24, 32):
        speed, work = measure_speed(settings, data, resolution), flops_of_an_image(resolution)
        optimizer = orthogonalization_flops(settings.ns_steps) / settings.batch_size
        shares = [f"{speed * flops / peak:.2f}" for flops in (work, work + optimizer)]
        table.add_row(str(resolution), f"{speed:.0f}", f"{work / 1e9:.2f}", *shares)
    console.print(table)


def matrix_product_peak() -> float:
    """FLOP/s of the fastest of several products of two 4096 x 4096 matrices."""
    dtype = torch.bfloat16 if _number_format() == "bfloat16" else torch.float32
    matrix = torch.randn(4096, 4096).to(dtype)
    return 2 * 4096**3 / min(seconds_of(lambda: matrix @ matrix) for _ in range(8))


def flops_of_an_image(resolution: int) -> int:
    """Multiplications and additions of one image, forward and backward, as counted by torch."""
    model = create_model(10).train()
    images = torch.zeros(2, 3, resolution, resolution)
    with FlopCounterMode(display=False) as counter:
        model(images).sum().backward()
    return int(counter.get_total_flops() // len(images))


def orthogonalization_flops(steps: int) -> int:
    """FLOPs of Muon's Newton-Schulz iterations over all convolutions, per optimiser step."""
    shapes = [sorted((len(p), p[0].numel())) for p in create_model(10).parameters() if p.ndim == 4]
    return sum(2 * steps * (2 * small**2 * large + small**3) for small, large in shapes)


def show_scoring(dataset: Dataset, settings: Settings) -> None:
    """Print the images per second of scoring relative to a bare forward loop, measured alternately."""
    images = dataset.images_NHWC[:4000]
    parts = np.split(images, range(settings.score_batch_size, len(images), settings.score_batch_size))
    model = create_model(10).eval().to(choose_device(settings.device))
    scorer = Scorer(model, 32)

    def bare() -> None:
        with torch.inference_mode():
            for part in parts:
                forward(model, normalize(torch.from_numpy(part)))

    def ours() -> None:
        for part in parts:
            scorer({"sample_id": np.arange(len(part)), "images_NHWC": part})

    turns = [(seconds_of(bare), seconds_of(ours)) for _ in range(3)]
    ratio = float(np.median([b / o for b, o in turns]))
    speed = len(images) / min(o for _, o in turns)
    console.print(f"scoring: {speed:.0f} images/s, {ratio:.3f} of a bare forward loop")


def reach(dataset: Dataset, settings: Settings, minutes: float) -> tuple[float, float]:
    """Seconds and test accuracy of our recipe for a training of `minutes`."""
    asked = settings.model_copy(update={"minutes": minutes})
    fitted = fit_schedule(asked, training_set(dataset, dataset.rows("train")), Progress())
    return _trained("ours", dataset, fitted)


def reach_plainly(dataset: Dataset, settings: Settings, minutes: float) -> tuple[float, float]:
    """Seconds and test accuracy of the baseline for a training of `minutes`."""
    data, plain = training_set(dataset, dataset.rows("train")), settings.model_copy(update=PLAIN)
    epochs = measure_speed(plain, data, 32) * minutes * 60 / len(data.label_N)
    return _trained("plain", dataset, plain.model_copy(update={"phases": [Phase(resolution=32, epochs=epochs)]}))


def show_targets(runs: dict[str, list[tuple[float, float]]]) -> None:
    """Print the seconds to each accuracy, interpolated between two trainings, and the ratio of the recipes."""
    table = Table("test accuracy", "ours (s)", "baseline (s)", "ratio")
    for target in TARGETS:
        ours, plain = (seconds_to(target, runs[name]) for name in ("ours", "plain"))
        both = ours is not None and plain is not None
        cells = [f"{s:.0f}" if s is not None else "not reached" for s in (ours, plain)]
        table.add_row(f"{target:.0%}", *cells, f"{ours / plain:.2f}" if both else "")  # type: ignore[operator]
    console.print(table)


def seconds_to(target: float, runs: list[tuple[float, float]]) -> float | None:
    """Seconds at which the line through (log seconds, accuracy) of neighbouring trainings crosses the target."""
    for (early, low), (late, high) in itertools.pairwise(sorted(runs)):
        if low <= target <= high and high > low:
            return float(np.exp(np.interp(target, [low, high], np.log([early, late]))))
    return None


def _trained(name: str, dataset: Dataset, settings: Settings) -> tuple[float, float]:
    data, test = training_set(dataset, dataset.rows("train")), dataset.rows("test")
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        trained = train(data, settings, Progress(), snapshot=Path(folder) / "snapshot.safetensors", facts={})
        seconds = time.perf_counter() - started
    scorer = Scorer(trained.model, settings.resolution)
    parts = np.array_split(dataset.images_NHWC[test], 20)
    logits = [scorer({"sample_id": np.arange(len(p)), "images_NHWC": p})["logits"] for p in parts]
    accuracy = float((np.concatenate(logits).argmax(1) == dataset.label[test]).mean())
    console.print(f"{name}: {seconds:.0f} s, {accuracy:.2%} of {len(test):,} test images")
    return seconds, accuracy


def _number_format() -> str:
    with autocast(torch.device("cpu")) as context:
        return "bfloat16" if context._enabled else "float32"


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",") if number]


if __name__ == "__main__":
    typer.run(main)
