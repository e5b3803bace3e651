"""Measure the speed of loss maps relative to a bare forward and backward loop to the same layer, in one run.

    .venv/bin/python -m benchmarks.pipeline.loss_maps data/lake

Takes about five minutes on two cores: the maps alone, alternating with the bare loop; the whole stage with its checks
on 10,000 samples; and one image on demand, as requested by the page.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import polars as pl
import torch
import typer
from rich.console import Console
from torch.nn import functional

from benchmarks.support.clock import seconds_of
from lake.storage.store import Lake, Run
from pipeline.data.dataset import Dataset
from pipeline.data.load import load_dataset
from pipeline.engine.batch_map import Batch
from pipeline.engine.progress import Progress
from pipeline.loss_maps import hirescam
from pipeline.loss_maps.hirescam import ExplainedModel, Explainer
from pipeline.loss_maps.on_demand import OnDemand
from pipeline.model.architecture import map_layers
from pipeline.model.classifier import normalize, resize
from pipeline.model.published_model import StoredModel, load_model
from pipeline.settings import Settings, load_settings

console = Console(width=140)
WARM_UPS = 3


def main(
    lake: Path,
    images: Annotated[int, typer.Option(help="For the comparison with the bare loop.")] = 2000,
    samples: Annotated[int, typer.Option(help="For the whole stage.")] = 10_000,
    repeats: Annotated[int, typer.Option(help="Of each measurement.")] = 5,
) -> None:
    """Print medians, in samples per second, seconds and milliseconds."""
    run = Lake(lake).run()
    stored, settings = load_model(run), load_settings(preset=run.facts["preset"])
    torch.set_num_threads(settings.threads)
    dataset = load_dataset(settings, Progress(quiet=True))
    _against_bare_loop(stored, dataset, images, repeats, settings.score_batch_size)
    _whole_stage(run, stored, dataset, samples, settings)
    _on_demand(stored, dataset, 20 * repeats)


def _against_bare_loop(stored: StoredModel, dataset: Dataset, images: int, repeats: int, batch_size: int) -> None:
    """Maps of the same batches, alternating between the explainer and a loop that only runs forward and backward."""
    rows = dataset.rows("test")[:images]
    batches: list[Batch] = [
        {"sample_id": part, "images_NHWC": dataset.images_NHWC[part], "target": dataset.label[part]}
        for part in np.array_split(rows, max(1, len(rows) // batch_size))
    ]
    explainer = Explainer(stored.model, stored.resolution, stored.temperature)
    computed: dict[str, Callable[[Batch], object]] = {"bare": _bare_loop(stored), "ours": explainer}
    speeds: dict[str, list[float]] = {"bare": [], "ours": []}
    for _ in range(repeats + 1):
        for name, compute in computed.items():
            speeds[name].append(len(rows) / seconds_of(partial(_each, compute, batches)))
    ours, loop = (median(speeds[name][1:]) for name in ("ours", "bare"))  # the first is a warm-up
    console.print(
        f"maps of two layers {ours:.0f} samples/s, bare loop {loop:.0f}/s: ratio {ours / loop:.2f} (n {len(rows):,})"
    )


def _each(compute: Callable[[Batch], object], batches: list[Batch]) -> None:
    for batch in batches:
        compute(batch)


def _bare_loop(stored: StoredModel) -> Callable[[Batch], None]:
    model = ExplainedModel(stored.model, map_layers(stored.model))

    def run(batch: Batch) -> None:
        logits = model(normalize(resize(torch.from_numpy(batch["images_NHWC"]), stored.resolution)))
        target = torch.from_numpy(batch["target"])
        functional.cross_entropy(logits / stored.temperature, target, reduction="sum").backward()

    return run


def _whole_stage(run: Run, stored: StoredModel, dataset: Dataset, samples: int, settings: Settings) -> None:
    """Measure the maps, their checks and the table."""
    predictions = run.scan("predictions").filter("out_of_sample").sort("sample_id").head(samples).collect()
    chosen = hirescam.choose_maps(dataset, predictions)
    found: list[pl.DataFrame] = []
    models = {0: stored.model}
    spent = seconds_of(
        lambda: found.append(hirescam.compute_loss_maps(models, dataset, chosen, settings, Progress(quiet=True)))
    )
    checked = found[0]["loss_without_red"].is_not_null().sum()
    console.print(
        f"stage: {len(predictions):,} samples x 2 layers, {len(found[0]):,} maps of label and prediction, "
        f"{checked:,} of them checked, in {spent:.0f} s"
    )


def _on_demand(stored: StoredModel, dataset: Dataset, calls: int) -> None:
    """Explain one image after another, warmed up."""
    explainer = OnDemand(stored)
    pictures = dataset.images_NHWC[dataset.rows("train")[: calls + WARM_UPS]]
    spent = [seconds_of(partial(explainer.explain, picture, 0)) * 1000 for picture in pictures][WARM_UPS:]
    console.print(
        f"on demand, warm: median {median(spent):.0f} ms, p95 {np.quantile(spent, 0.95):.0f} ms (n {len(spent)})"
    )


if __name__ == "__main__":
    typer.run(main)
