"""The stages: what each one computes, from which settings, code and earlier stages.

`Stages(...).run()` finds or computes them in order; `pipeline.refresh` publishes what they leave.
"""

import importlib.metadata
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake import queries
from lake.statistics import calibration_error
from pipeline import (
    cifar10,
    cluster,
    datasets,
    describe,
    explain,
    findings,
    model,
    neighbors,
    project,
    properties,
    score,
    train,
)
from pipeline.datasets import HELD_OUT, Dataset
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.workspace import Finished, Frames, Workspace

PACKAGES = (
    "torch",
    "timm",
    "scikit-learn",
    "hdbscan",
    "umap-learn",
    "grad-cam",
    "polars",
    "deltalake",
    "numpy",
)
TRAIN_SETTINGS = (
    "seed",
    "threads",
    "phases",
    "batch_size",
    "learning_rate",
    "other_rate_scale",
    "weight_decay",
    "label_smoothing",
    "warmup",
)
MAP_SETTINGS = ("seed", "pca_dims", "umap_neighbors", "umap_min_dist")
CLUSTER_SETTINGS = ("seed", "kmeans_clusters", "hdbscan_min_cluster_size")
TEST_SETTINGS = ("seed", "permutations", "false_discovery_rate", "min_group_size")


@dataclass
class Staged:
    """The tables of a run before it is published; `scan` as `lake.store.Run` has it."""

    groups: dict[str, dict[str, str]]
    frames: Frames = field(default_factory=dict)

    def scan(self, name: str) -> pl.LazyFrame:
        return self.frames[name].lazy()


class Stages:
    """Each stage of one dataset under one set of settings, computed at most once."""

    def __init__(self, dataset: Dataset, settings: Settings, progress: Progress) -> None:
        self._dataset, self._settings, self._progress = dataset, settings, progress
        self._work = Workspace(settings.work_dir, settings, progress)
        self._rows = score.choose_scored(dataset, settings)
        self._sample_id = dataset.sample_id[self._rows]

    def run(self) -> dict[str, Finished]:
        """Every stage by name, in the order they run."""
        names = ("properties", "train", "score", "neighbors", "project", "cluster", "explain", "describe")
        return {name: getattr(self, name) for name in names}

    @cached_property
    def properties(self) -> Finished:
        return self._work.stage(
            "properties",
            lambda _: {"properties": _measure_properties(self._dataset, self._progress)},
            settings=(),
            code=(properties, cifar10, datasets),
            inputs=(self._dataset.dataset_id,),
        )

    @cached_property
    def train(self) -> Finished:
        return self._work.stage(
            "train",
            lambda folder: _train(folder, self._dataset, self._settings, self._progress),
            settings=TRAIN_SETTINGS,
            code=(train, model, cifar10, datasets),
            inputs=(self._dataset.dataset_id,),
        )

    @cached_property
    def score(self) -> Finished:
        return self._work.stage(
            "score",
            lambda _: _score(self._checkpoint, self._dataset, self._rows, self._settings, self._progress),
            settings=("scored_train",),
            code=(score, model),
            inputs=(self.train.fingerprint,),
        )

    @cached_property
    def neighbors(self) -> Finished:
        return self._work.stage(
            "neighbors",
            lambda _: {"neighbors": _neighbors(self._sample_id, self._embedding, self._settings, self._progress)},
            settings=("neighbors",),
            code=(neighbors,),
            inputs=(self.score.fingerprint,),
        )

    @cached_property
    def project(self) -> Finished:
        return self._work.stage(
            "project",
            lambda _: _project(self._sample_id, self._embedding, self.neighbors.frames["neighbors"], self._settings),
            settings=MAP_SETTINGS,
            code=(project,),
            inputs=(self.neighbors.fingerprint,),
        )

    @cached_property
    def cluster(self) -> Finished:
        return self._work.stage(
            "cluster",
            lambda _: {"clusters": _cluster(self._sample_id, self.project.frames["components"], self._settings)},
            settings=CLUSTER_SETTINGS,
            code=(cluster,),
            inputs=(self.project.fingerprint,),
        )

    @cached_property
    def explain(self) -> Finished:
        predictions = self.score.frames["predictions"]
        return self._work.stage(
            "explain",
            lambda _: {
                "loss_maps": _explain(self._checkpoint, self._dataset, predictions, self._settings, self._progress)
            },
            settings=(),
            code=(explain, model),
            inputs=(self.score.fingerprint,),
        )

    @cached_property
    def describe(self) -> Finished:
        joined = Staged(self._dataset.groups, {"samples": self._dataset.to_frame()})
        for stage in (self.properties, self.score, self.project, self.cluster):
            joined.frames |= stage.frames
        return self._work.stage(
            "describe",
            lambda _: _describe(joined, self._settings, self._progress),
            settings=TEST_SETTINGS,
            code=(describe, findings, queries),
            inputs=(self.cluster.fingerprint, self.properties.fingerprint),
        )

    @cached_property
    def _checkpoint(self) -> Path:
        return self.train.folder / "model.safetensors"

    @cached_property
    def _embedding(self) -> NDArray[np.float32]:
        return _matrix(self.score.frames["embeddings"]["embedding"])


def package_versions() -> dict[str, str]:
    """Versions of the packages that compute, stored with every run and checkpoint."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def _measure_properties(dataset: Dataset, progress: Progress) -> pl.DataFrame:
    measured = properties.compute_properties(dataset.images_NHWC, progress)
    return measured.with_columns(sample_id=pl.Series(dataset.sample_id))


def _train(folder: Path, dataset: Dataset, settings: Settings, progress: Progress) -> Frames:
    rows = dataset.rows("train")
    classifier, telemetry = train.train(
        dataset.images_NHWC[rows],
        dataset.label[rows],
        len(dataset.classes),
        settings,
        progress,
        folder / "training.safetensors",
    )
    facts = {
        "classes": dataset.classes,
        "dataset_id": dataset.dataset_id,
        "config": settings.model_dump(mode="json"),
        "packages": package_versions(),
    }
    model.save_checkpoint(classifier, folder / "model.safetensors", facts)
    return {"training": telemetry}


def _score(
    checkpoint: Path, dataset: Dataset, rows: NDArray[np.int64], settings: Settings, progress: Progress
) -> Frames:
    classifier, _ = model.load_checkpoint(checkpoint, len(dataset.classes))
    embedding, logits = score.score(score.Scorer(classifier), dataset, rows, settings, progress)
    held_out = dataset.split[rows] == "validation"
    temperature = score.fit_temperature(logits[held_out], dataset.label[rows][held_out])
    predictions = score.predictions_frame(logits, dataset, rows, temperature)
    embeddings = pl.DataFrame({"sample_id": dataset.sample_id[rows], "embedding": score.list_column(embedding)})
    return {
        "predictions": predictions,
        "embeddings": embeddings,
        "headline": _headline(predictions, dataset, rows, temperature),
    }


def _headline(predictions: pl.DataFrame, dataset: Dataset, rows: NDArray[np.int64], temperature: float) -> pl.DataFrame:
    """Accuracy, loss and calibration on the test split, as rows of `metrics`."""
    test = predictions.filter(pl.Series(dataset.split[rows] == "test"))
    confidence, correct = test["confidence"].to_numpy(), test["correct"].to_numpy()
    raw = (
        test["logits"].list.eval((pl.element() - pl.element().max()).exp()).list.eval(pl.element() / pl.element().sum())
    )
    values = {
        "test_accuracy": correct.mean(),
        "test_loss": test["loss"].mean(),
        "temperature": temperature,
        "calibration_error": calibration_error(confidence, correct),
        "calibration_error_before": calibration_error(raw.list.max().to_numpy(), correct),
    }
    return pl.DataFrame({"name": list(values), "value": [float(value) for value in values.values()]})


def _neighbors(
    sample_id: NDArray[np.int64], embedding: NDArray[np.float32], settings: Settings, progress: Progress
) -> pl.DataFrame:
    nearest, similarity = neighbors.compute_neighbors(embedding, settings.neighbors, progress)
    return neighbors.neighbors_frame(sample_id, nearest, similarity)


def _project(
    sample_id: NDArray[np.int64], embedding: NDArray[np.float32], near: pl.DataFrame, settings: Settings
) -> Frames:
    components = project.reduce_dimensions(embedding, settings)
    position = project.project(components, settings)
    nearest = np.searchsorted(sample_id, near["neighbor_id"].to_numpy().reshape(len(sample_id), -1))
    columns = {
        "sample_id": sample_id,
        "x": position[:, 0].astype(np.float64),
        "y": position[:, 1].astype(np.float64),
        "neighbors_kept": project.share_of_neighbors_kept(position, nearest),
    }
    return {
        "projection": pl.DataFrame(columns),
        "components": pl.DataFrame({"component": score.list_column(components)}),
    }


def _cluster(sample_id: NDArray[np.int64], components: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    points = cluster.normalize_rows(_matrix(components["component"]))
    return cluster.clusters_frame(sample_id, points, cluster.compute_clusterings(points, settings))


def _explain(
    checkpoint: Path, dataset: Dataset, predictions: pl.DataFrame, settings: Settings, progress: Progress
) -> pl.DataFrame:
    classifier, _ = model.load_checkpoint(checkpoint, len(dataset.classes))
    rows = dataset.rows(*HELD_OUT)
    predicted = predictions.filter(pl.col("out_of_sample"))["predicted"].to_list()
    fallback = np.array([dataset.classes.index(name) for name in predicted])
    target = np.where(dataset.label[rows] >= 0, dataset.label[rows], fallback)
    return explain.compute_loss_maps(
        explain.Explainer(classifier),
        dataset.sample_id[rows],
        dataset.images_NHWC[rows],
        target,
        dataset.classes,
        settings,
        progress,
    )


def _describe(joined: Staged, settings: Settings, progress: Progress) -> Frames:
    samples = queries.scan_samples(joined).collect()
    return {
        "cluster_summaries": describe.summarize(samples, joined.frames["clusters"], settings, progress),
        "findings": findings.find(samples, settings, progress),
    }


def _matrix(column: pl.Series) -> NDArray[np.float32]:
    """A column of equally long lists as a matrix [N, D]."""
    return column.explode().to_numpy(writable=True).reshape(len(column), -1)
