"""The stages: what each one computes, from which settings, code and earlier stages.

`Stages(...).run()` finds or computes them in order; `pipeline.refresh` publishes what they leave.
"""

from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import nn

from lake import differences, loss_maps, queries
from lake.contracts import METHODS, make_frame
from lake.loss_maps import Maps, scan_maps
from lake.map_contracts import LAYERS
from pipeline import (
    augment,
    cifar10,
    cluster,
    cluster_quality,
    data_findings,
    datasets,
    describe,
    distributed,
    duplicates,
    dynamics,
    explain,
    fidelity,
    findings,
    folds,
    groups,
    map_families,
    map_proofs,
    model,
    neighbors,
    occlude,
    permutation,
    pooled_maps,
    project,
    properties,
    schedule,
    score,
    separation,
    statements,
    train,
    triage,
    whitening,
)
from pipeline.datasets import HELD_OUT, Dataset
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.stored_model import StoredModel
from pipeline.workspace import Finished, Frames, Workspace, package_versions

MEASURING = (
    "score",
    "neighbors",
    "project",
    "separate",
    "cluster",
    "assess",
    "copies",
    "explain",
    "families",
    "describe",
    "pool",
    "prove",
)
TRAIN_SETTINGS = (
    "seed",
    "threads",
    "device",
    "pretrained",
    "phases",
    "batch_size",
    "crop_padding",
    "optimizer",
    "momentum",
    "ns_steps",
    "learning_rate",
    "other_rate_scale",
    "weight_decay",
    "label_smoothing",
    "warmup",
)
TRAIN_CODE = (train, schedule, augment, whitening, dynamics, distributed, model, cifar10, datasets)
MAP_SETTINGS = ("seed", "pca_dims", "umap_neighbors", "umap_min_dist")
CLUSTER_SETTINGS = ("seed", "kmeans_clusters", "hdbscan_min_cluster_size")
TEST_SETTINGS = ("seed", "permutations", "false_discovery_rate", "min_group_size")


CHECKPOINT = "model.safetensors"


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
        self._work = Workspace(settings.work_dir, settings, progress, stores=distributed.this_rank() == 0)
        self._rows = score.choose_scored(dataset, settings)
        self._sample_id = dataset.sample_id[self._rows]

    def run(self) -> dict[str, Finished]:
        """Every stage by name, in the order they run."""
        folds = {f"fold-{number}": fold for number, fold in enumerate(self.folds, start=1)}
        first = {"properties": self.properties, "train": self.train, **folds}
        return first | {name: getattr(self, name) for name in MEASURING}

    def help_training(self) -> None:
        """What a process of `torchrun` other than the first does: its part of every training."""
        _ = self.train, self.folds

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
        return self._training("train", self._dataset.rows("train"), inputs=())

    @cached_property
    def folds(self) -> list[Finished]:
        """The models of the folds: number k never saw the training samples of fold k."""
        rows, count = self._dataset.rows("train"), self._settings.folds
        return [
            self._training(f"fold-{k}", rows[self._fold != k], inputs=(f"{k} of {count}",)) for k in range(1, count + 1)
        ]

    @cached_property
    def score(self) -> Finished:
        return self._work.stage(
            "score",
            lambda _: self._score(),
            settings=("scored_train",),
            code=(score, folds, model),
            inputs=(self.train.fingerprint, *(fold.fingerprint for fold in self.folds)),
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
            lambda _: _project(self._sample_id, self._embedding, self.neighbors, self._settings),
            settings=MAP_SETTINGS,
            code=(project, fidelity),
            inputs=(self.neighbors.fingerprint,),
        )

    @cached_property
    def separate(self) -> Finished:
        return self._work.stage(
            "separate",
            lambda _: {"separation": self._separation()},
            settings=("seed",),
            code=(separation,),
            inputs=(self.project.fingerprint,),
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
    def assess(self) -> Finished:
        return self._work.stage(
            "assess",
            lambda _: self._assess(),
            settings=CLUSTER_SETTINGS,
            code=(cluster, cluster_quality),
            inputs=(self.cluster.fingerprint,),
        )

    @cached_property
    def copies(self) -> Finished:
        images, split = self._dataset.images_NHWC[self._rows], self._dataset.split[self._rows]
        near = self.neighbors.frames["neighbors"]
        return self._work.stage(
            "copies",
            lambda _: {"duplicates": duplicates.find_duplicates(self._sample_id, images, split, near, self._progress)},
            settings=(),
            code=(duplicates,),
            inputs=(self.neighbors.fingerprint,),
        )

    @cached_property
    def explain(self) -> Finished:
        return self._work.stage(
            "explain",
            lambda _: {"loss_maps": self._explain()},
            settings=("seed",),
            code=(explain, occlude, loss_maps, model),
            inputs=(self.score.fingerprint,),
        )

    @cached_property
    def families(self) -> Finished:
        return self._work.stage(
            "families",
            lambda _: {"map_families": self._families()},
            settings=("seed",),
            code=(map_families, loss_maps),
            inputs=(self.explain.fingerprint,),
        )

    @cached_property
    def describe(self) -> Finished:
        return self._work.stage(
            "describe",
            lambda _: self._describe(),
            settings=TEST_SETTINGS,
            code=(describe, findings, data_findings, groups, statements, triage, permutation, differences, queries),
            inputs=(self.assess.fingerprint, self.properties.fingerprint, self.copies.fingerprint),
        )

    @cached_property
    def pool(self) -> Finished:
        return self._work.stage(
            "pool",
            lambda _: {"pooled_maps": pooled_maps.pool_maps(self._staged(), self._settings)},
            settings=("min_group_size",),
            code=(pooled_maps, loss_maps, groups),
            inputs=(self.describe.fingerprint, self.families.fingerprint),
        )

    @cached_property
    def prove(self) -> Finished:
        return self._work.stage(
            "prove",
            lambda _: {"proofs": self._prove()},
            settings=("seed",),
            code=(map_proofs, occlude, explain, loss_maps, model),
            inputs=(self.explain.fingerprint,),
        )

    @cached_property
    def _embedding(self) -> NDArray[np.float32]:
        return _matrix(self.score.frames["embeddings"]["embedding"])

    @cached_property
    def _fold(self) -> NDArray[np.int64]:
        """The fold of each training sample, in the order of the dataset."""
        label = self._dataset.label[self._dataset.rows("train")]
        return folds.assign_folds(label, self._settings.folds, seed=self._settings.seed)

    def _training(self, name: str, rows: NDArray[np.int64], *, inputs: tuple[str, ...]) -> Finished:
        return self._work.stage(
            name,
            lambda folder: _train(folder, self._dataset, rows, self._settings, self._progress),
            settings=TRAIN_SETTINGS,
            code=TRAIN_CODE,
            inputs=(self._dataset.dataset_id, *inputs),
        )

    def _classifier(self, training: Finished) -> nn.Module:
        classifier, _ = model.load_checkpoint(
            training.folder / CHECKPOINT, classes=self._dataset.classes, dataset_id=self._dataset.dataset_id
        )
        return classifier.to(model.choose_device(self._settings.device))

    def _staged(self, *, without: tuple[str, ...] = ()) -> Staged:
        """The tables of the stages that measure samples, those of the named stages empty."""
        joined = Staged(self._dataset.groups, {"samples": self._dataset.to_frame()})
        for name in ("properties", "score", "project", "cluster", "copies", "explain", "families", "describe"):
            joined.frames |= {} if name in without else getattr(self, name).frames
        for table in ("triage", "map_families"):
            joined.frames.setdefault(table, make_frame(table, []))
        return joined

    def _explain(self) -> pl.DataFrame:
        chosen = explain.choose_maps(self._dataset, self.score.frames["predictions"])
        trained = dict(enumerate([self.train, *self.folds]))
        models = {fold: self._classifier(trained[fold]) for fold in chosen["fold"].unique()}
        return explain.compute_loss_maps(models, self._dataset, chosen, self._settings, self._progress)

    def _families(self) -> pl.DataFrame:
        staged = self._staged(without=("families", "describe"))
        samples = queries.scan_samples(staged).filter(loss_maps.MAPPED).collect()
        maps = Maps.of(scan_maps(staged, LAYERS[0]).collect()).of_samples(samples["sample_id"].to_numpy())
        wrong = samples.filter(~pl.col("correct"))["sample_id"].to_numpy()
        return map_families.find_families(maps, wrong, seed=self._settings.seed)

    def _prove(self) -> pl.DataFrame:
        main = StoredModel(
            self._classifier(self.train),
            self._settings.resolution,
            float(self.score.frames["predictions"].filter(pl.col("fold").is_null())["temperature"][0]),
        )
        samples = self.score.frames["predictions"].join(
            self._dataset.to_frame().select("sample_id", "split", "label"), on="sample_id"
        )
        test = samples.filter(pl.col("split") == "test").sort("sample_id")
        images = self._dataset.images_NHWC[np.searchsorted(self._dataset.sample_id, test["sample_id"].to_numpy())]
        subject = map_proofs.Subject(main, self._dataset.classes, test, images)
        maps = self.explain.frames["loss_maps"].lazy()
        return map_proofs.prove(subject, maps, seed=self._settings.seed, progress=self._progress)

    def _separation(self) -> pl.DataFrame:
        label, groupings = _groupings(self._dataset, self._rows)
        nearest = _rows_of_neighbors(self._sample_id, self.neighbors)
        position = self.project.frames["projection"].select("x", "y").to_numpy().astype(np.float32)
        spaces = {
            "embedding": separation.Space(self._embedding, nearest[:, : separation.NEAREST]),
            "umap": separation.Space(position, fidelity.nearest_on_map(position)),
        }
        held_out = self.score.frames["predictions"]["out_of_sample"].to_numpy()
        return separation.measure_separation(spaces, groupings, label, held_out, seed=self._settings.seed)

    def _assess(self) -> Frames:
        members = self.cluster.frames["clusters"]
        found = {m: members.filter(method=m)["cluster"].fill_null(-1).to_numpy() for m in METHODS}
        points = cluster.normalize_rows(_matrix(self.project.frames["components"]["component"]))
        return cluster_quality.assess(points, found, self._settings, self._progress)

    def _describe(self) -> Frames:
        """Why losses are high, what the clusters are, and which groups are hard."""
        joined = self._staged(without=("explain", "families", "describe"))
        near = self.neighbors.frames["neighbors"]
        joined.frames["triage"] = triage.sort_out(queries.scan_samples(joined).collect(), near)
        samples, members = queries.scan_samples(joined).collect(), joined.frames["clusters"]
        density = statements.Density.of(samples, near, training_images=len(self._dataset.rows("train")))
        stability, common = self.assess.frames["cluster_stability"], (self._settings, self._progress)
        found = findings.find(samples, density, *common)
        of_data = data_findings.find_in_data(samples, self._embedding, *common)
        return {
            "triage": joined.frames["triage"],
            "cluster_summaries": describe.summarize(samples, members, stability, *common),
            "findings": pl.concat([found, of_data.with_columns(pl.col("finding_id") + len(found))]),
        }

    def _score(self) -> Frames:
        dataset, rows = self._dataset, self._rows
        fold = np.zeros(len(dataset), dtype=np.int64)
        fold[dataset.rows("train")] = self._fold
        measure = partial(score.measure, dataset=dataset, settings=self._settings, progress=self._progress)
        scores, quality = measure(self._classifier(self.train), rows=rows), {}
        held_out = dataset.rows(*HELD_OUT)
        for number, finished in enumerate(self.folds, start=1):
            own = rows[fold[rows] == number]
            other = measure(self._classifier(finished), rows=np.union1d(held_out, own))
            quality[f"fold_{number}_alignment"] = scores.take_over(other, held_out=held_out, own=own, fold=number)
        headline = score.headline(scores, dataset) | quality
        return {
            "predictions": score.predictions_frame(scores, dataset),
            "embeddings": score.embeddings_frame(scores, dataset),
            "headline": pl.DataFrame({"name": list(headline), "value": [float(value) for value in headline.values()]}),
        }


def _measure_properties(dataset: Dataset, progress: Progress) -> pl.DataFrame:
    measured = properties.compute_properties(dataset.images_NHWC, progress)
    return measured.with_columns(sample_id=pl.Series(dataset.sample_id))


def _train(folder: Path, dataset: Dataset, rows: NDArray[np.int64], settings: Settings, progress: Progress) -> Frames:
    data = train.training_set(dataset, rows)
    versions = {"packages": package_versions()}
    trained = train.train(data, settings, progress, snapshot=folder / "training.safetensors", facts=versions)
    if distributed.this_rank() == 0:
        facts = {
            "classes": dataset.classes,
            "dataset_id": dataset.dataset_id,
            "config": settings.model_dump(mode="json"),
        }
        model.save_checkpoint(trained.model, folder / CHECKPOINT, facts | versions)
    return {"training": trained.telemetry, "dynamics": trained.dynamics.frame(dataset.sample_id[rows])}


def _neighbors(
    sample_id: NDArray[np.int64], embedding: NDArray[np.float32], settings: Settings, progress: Progress
) -> pl.DataFrame:
    nearest, similarity = neighbors.compute_neighbors(embedding, settings.neighbors, progress)
    return neighbors.neighbors_frame(sample_id, nearest, similarity)


def _project(
    sample_id: NDArray[np.int64], embedding: NDArray[np.float32], near: Finished, settings: Settings
) -> Frames:
    components = project.reduce_dimensions(embedding, settings)
    position = project.project(components, settings)
    nearest = _rows_of_neighbors(sample_id, near)
    views = {"umap": position, "pca": project.first_two(components)}
    columns = {
        "sample_id": sample_id,
        "x": position[:, 0].astype(np.float64),
        "y": position[:, 1].astype(np.float64),
        "neighbors_kept": fidelity.share_of_neighbors_kept(position, nearest),
        "pca_x": views["pca"][:, 0].astype(np.float64),
        "pca_y": views["pca"][:, 1].astype(np.float64),
    }
    return {
        "projection": pl.DataFrame(columns),
        "map_quality": fidelity.measure_maps(embedding, views, nearest, seed=settings.seed),
        "components": pl.DataFrame({"component": score.list_column(components)}),
    }


def _rows_of_neighbors(sample_id: NDArray[np.int64], near: Finished) -> NDArray[np.int64]:
    """The row of each neighbour [N, R], most similar first."""
    return np.searchsorted(sample_id, near.frames["neighbors"]["neighbor_id"].to_numpy().reshape(len(sample_id), -1))


def _groupings(dataset: Dataset, rows: NDArray[np.int64]) -> tuple[list[str | None], dict[str, NDArray[np.int64]]]:
    """The label of each row, and its group by every grouping and by the label itself; -1 where it is withheld."""
    label = [dataset.classes[i] if i >= 0 else None for i in dataset.label[rows]]
    named = {**dataset.groups, "label": {name: name for name in dataset.classes}}
    codes = {name: {v: i for i, v in enumerate(sorted(set(values.values())))} for name, values in named.items()}
    return label, {
        name: np.array([codes[name].get(values.get(text or "", ""), -1) for text in label])
        for name, values in named.items()
    }


def _cluster(sample_id: NDArray[np.int64], components: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    points = cluster.normalize_rows(_matrix(components["component"]))
    return cluster.clusters_frame(sample_id, points, cluster.compute_clusterings(points, settings))


def _matrix(column: pl.Series) -> NDArray[np.float32]:
    """A column of equally long lists as a matrix [N, D]."""
    return column.explode().to_numpy(writable=True).reshape(len(column), -1)
