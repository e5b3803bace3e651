"""Check on a published lake that findings and descriptions report planted faults, and report nothing on random data.

    .venv/bin/python -m benchmarks.pipeline.findings silent data/lake  # shuffled losses, random partitions
    .venv/bin/python -m benchmarks.pipeline.findings planted data/lake model.safetensors
    .venv/bin/python -m benchmarks.pipeline.findings left-out data/lake  # trains a `quick` model on less data

`silent` takes about ten minutes on a `standard` lake, `planted` five. `planted` modifies held-out samples, measures
them again with the model of the lake's latest run and reports precision@10: the share of planted samples among the ten
examples of the best matching finding (Eyuboglu et al. 2022, Domino), of those not covered by another.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import typer
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from rich.console import Console
from sklearn.cluster import KMeans
from torch import nn

from lake.contracts.tables import make_frame
from lake.query import joined_samples, queries
from lake.search.vectors import to_unit
from lake.storage.store import Lake, Run
from pipeline.data.dataset import Dataset
from pipeline.data.load import load_dataset
from pipeline.engine.progress import Progress
from pipeline.findings import describe_clusters, error_causes
from pipeline.findings import search as findings
from pipeline.findings.wording import Density
from pipeline.measure import clustering, image_properties, principal_components, score
from pipeline.model import classifier, train
from pipeline.settings import Settings, load_settings
from pipeline.stages.inputs import Staged

QUIET = Progress(quiet=True)
app, console = typer.Typer(add_completion=False), Console(width=160)
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Planted:
    """A dataset in which some samples were made hard."""

    name: str
    dataset: Dataset
    is_planted: Mask
    changed: Mask
    """Samples whose images must be measured again."""


@app.command()
def silent(lake: Path, runs: int = 200, partitions: int = 100) -> None:
    """Measure how often shuffled losses yield a finding, and random clusters of the same sizes a description."""
    run = Lake(lake).run()
    samples, settings = joined_samples.scan_samples(run).collect(), _settings_of(run)
    flagged = sum(_is_flagged(samples, settings, seed) for seed in range(runs))
    console.print(f"shuffled losses: any group flagged in {flagged} of {runs} runs ({flagged / runs:.1%})")
    column = joined_samples.cluster_column("kmeans")
    spoken = 0
    for seed in range(partitions):
        number = np.random.default_rng(seed).permutation(samples[column].to_numpy())
        spoken += any(
            text != describe_clusters.NOTHING for text in describe_clusters.describe_sets(samples, number, settings)
        )
    console.print(f"random partitions: any described in {spoken} of {partitions} runs ({spoken / partitions:.1%})")


@app.command()
def planted(lake: Path, checkpoint: Path) -> None:
    """Measure precision@10 of three planted slices, with the run's own model."""
    run = Lake(lake).run()
    settings = _settings_of(run)
    dataset = load_dataset(settings, QUIET)
    trained, _ = classifier.load_checkpoint(checkpoint, classes=dataset.classes, dataset_id=dataset.dataset_id)
    samples = joined_samples.scan_samples(run).collect()
    for plant in (_relabelled, _low_contrast, _blurred):
        slice_ = plant(dataset, samples)
        _report(slice_, _search(slice_, run, trained, settings))


@app.command("left-out")
def left_out(lake: Path, preset: Annotated[str, typer.Option(help="Of the model that is trained.")] = "quick") -> None:
    """Measure precision@10 of a sub-cluster of a class, 90 % of which was left out of the training."""
    run = Lake(lake).run()
    settings = load_settings(preset=preset)
    dataset = load_dataset(settings, QUIET)
    inside = _sub_cluster(dataset, run)
    rng, rows = np.random.default_rng(0), dataset.rows("train")
    kept = rows[~inside[rows] | (rng.random(len(rows)) < 0.1)]
    console.print(f"{len(rows) - len(kept):,} of {int(inside[rows].sum()):,} training samples of it left out")
    with tempfile.TemporaryDirectory() as folder:
        data = train.training_set(dataset, kept)
        trained = train.train(data, settings, Progress(), snapshot=Path(folder) / "snapshot", facts={})
    everything = np.ones(len(dataset), bool)
    slice_ = Planted("90 % of a sub-cluster left out of training", dataset, inside, everything)
    _report(slice_, _search(slice_, run, trained.model, settings))


def _is_flagged(samples: pl.DataFrame, settings: Settings, seed: int) -> bool:
    shuffled = [pl.col(name).shuffle(seed) for name in ("loss", "expected_loss")]
    held_out, rest = samples.filter(queries.HELD_OUT), samples.filter(~queries.HELD_OUT)
    mixed = pl.concat([held_out.with_columns(shuffled[0]), rest.with_columns(shuffled[1])])
    return len(findings.search(findings.populations(mixed, settings), settings, QUIET)) > 0


def _relabelled(dataset: Dataset, samples: pl.DataFrame) -> Planted:
    """Label 60 % of the ships of one cluster as horses, like a mistake of an annotator."""
    ships = samples.filter(queries.HELD_OUT & (pl.col("label") == "ship"))
    largest = ships["cluster_bisecting"].drop_nulls().mode()[0]
    cell = ships.filter(pl.col("cluster_bisecting") == largest)["sample_id"].to_numpy()
    rng = np.random.default_rng(0)
    chosen = np.isin(dataset.sample_id, cell[rng.random(len(cell)) < 0.6])
    label = np.where(chosen, dataset.classes.index("horse"), dataset.label)
    return Planted("60 % of a cell relabelled", replace(dataset, label=label), chosen, np.zeros(len(label), bool))


def _low_contrast(dataset: Dataset, samples: pl.DataFrame) -> Planted:
    """200 trucks with their contrast reduced to 0.3."""
    return _changed("contrast x 0.3 on 200 of a class", dataset, samples.filter(pl.col("label") == "truck"), _fade)


def _blurred(dataset: Dataset, samples: pl.DataFrame) -> Planted:
    """200 blurred images of all classes."""
    return _changed("blur on 200 of all classes", dataset, samples, _blur)


def _changed(
    name: str, dataset: Dataset, samples: pl.DataFrame, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> Planted:
    held_out = samples.filter(queries.HELD_OUT)["sample_id"].to_numpy()
    chosen = np.isin(dataset.sample_id, np.random.default_rng(1).choice(held_out, 200, replace=False))
    images = dataset.images_NHWC.copy()
    images[chosen] = np.stack([change(image) for image in images[chosen]])
    return Planted(name, replace(dataset, images_NHWC=images), chosen, chosen)


def _fade(image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    mean = image_HWC.mean((0, 1))
    return (mean + 0.3 * (image_HWC - mean)).round().astype(np.uint8)


def _blur(image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image_HWC).filter(ImageFilter.GaussianBlur(1.5)))


def _sub_cluster(dataset: Dataset, run: Run) -> Mask:
    """The smallest of four clusters of trucks by the run's embeddings, in all splits."""
    trucks = run.scan("samples").filter(pl.col("label") == "truck").select("sample_id")
    rows = run.scan("embeddings").join(trucks, on="sample_id").collect()
    points = to_unit(np.stack(rows["embedding"].to_list()))
    number = KMeans(4, n_init=4, random_state=0).fit_predict(points)
    return np.isin(dataset.sample_id, rows["sample_id"].to_numpy()[number == np.bincount(number).argmin()])


def _search(slice_: Planted, run: Run, classifier: nn.Module, settings: Settings) -> pl.DataFrame:
    """The findings of the run with the planted samples, where changed samples are measured again."""
    dataset, scores = slice_.dataset, _score(slice_, run, classifier, settings)
    components = principal_components.reduce_dimensions(scores.embedding_ND, settings)
    points = to_unit(components)
    sample_id = dataset.sample_id[scores.rows]
    near = run.scan("neighbors").collect()
    frames = {
        "samples": dataset.frame,
        "properties": image_properties.compute_properties(dataset.images_NHWC, settings, QUIET).with_columns(
            sample_id=pl.Series(dataset.sample_id)
        ),
        "predictions": score.predictions_frame(scores, dataset),
        "projection": run.scan("projection").collect(),
        "clusters": clustering.clusters_frame(sample_id, points, clustering.compute_clusterings(points, settings)),
        "triage": make_frame("triage", []),
        "duplicates": make_frame("duplicates", []),
    }
    staged = Staged(dataset.groups, frames)
    frames["triage"] = error_causes.sort_out(joined_samples.scan_samples(staged).collect(), near)
    samples = joined_samples.scan_samples(staged).collect()
    density = Density.of(samples, near, training_images=len(dataset.rows("train")))
    return findings.find(samples, density, settings, QUIET)


def _score(slice_: Planted, run: Run, classifier: nn.Module, settings: Settings) -> score.Scores:
    """The stored scores of the run, with those of changed samples computed again."""
    dataset = slice_.dataset
    if slice_.changed.all():
        rows = score.choose_scored(dataset, settings)
        return score.measure(classifier, rows=rows, dataset=dataset, settings=settings, progress=Progress())
    stored = run.scan("predictions").join(run.scan("embeddings"), on="sample_id").sort("sample_id").collect()
    rows = np.searchsorted(dataset.sample_id, stored["sample_id"].to_numpy())
    logits, embedding = (np.stack(stored[name].to_list()).astype(np.float32) for name in ("logits", "embedding"))
    again = np.flatnonzero(slice_.changed[rows])
    if len(again):
        embedding[again], logits[again] = score.score(classifier, dataset, rows[again], settings, QUIET)
    return score.Scores(rows, embedding, logits, stored["temperature"].to_numpy(), np.zeros(len(rows), np.int64))


def _report(slice_: Planted, found: pl.DataFrame) -> None:
    planted_ids = slice_.dataset.sample_id[slice_.is_planted].tolist()
    standing = found.filter(pl.col("covered_by").is_null(), pl.col("kind") != "unlabeled")
    hits = [len(set(ids[:10]) & set(planted_ids)) / 10 for ids in standing["example_ids"]]
    best = int(np.argmax(hits)) if hits else None
    said = "nothing found" if best is None else f"{hits[best]:.1f} at rank {standing['finding_id'][best]}"
    console.print(f"{slice_.name} (n {len(planted_ids)}): precision@10 {said}")
    if best is not None:
        row = standing.row(best, named=True)
        console.print(
            f"  {row['sentence']} confirmed: {row['confirmed']}; {len(standing)} findings stand for themselves"
        )


def _settings_of(run: Run) -> Settings:
    """The settings the run was computed with, except for paths."""
    return load_settings(preset=run.facts["preset"])


if __name__ == "__main__":
    started = time.perf_counter()
    try:
        app()
    finally:
        console.print(f"{time.perf_counter() - started:.0f} s")
