"""The stages: what each one computes, from which settings, code and earlier stages.

`Stages(...).run()` finds or computes them in order; `pipeline.refresh` publishes what they leave.
"""

from functools import cached_property, partial

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import nn

from lake import differences, loss_maps, queries
from lake.contracts import METHODS, make_frame
from lake.search_index import faiss_is_installed
from pipeline import (
    augment,
    cluster,
    cluster_quality,
    copy_proofs,
    data_findings,
    describe,
    distributed,
    duplicates,
    dynamics,
    explain,
    fidelity,
    findings,
    folds,
    groups,
    label_issues,
    label_proofs,
    map_families,
    map_proofs,
    model,
    neighbors,
    occlude,
    permutation,
    pooled_maps,
    project,
    proof,
    proofs,
    properties,
    schedule,
    score,
    search_index,
    separation,
    stage_tables,
    statements,
    train,
    triage,
    whitening,
)
from pipeline.datasets import HELD_OUT, Dataset
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.stage_tables import CHECKPOINT, Staged
from pipeline.stored_model import StoredModel
from pipeline.workspace import Finished, Frames, Workspace

MEASURING = (
    "score",
    "neighbors",
    "index",
    "project",
    "separate",
    "cluster",
    "assess",
    "copies",
    "doubt",
    "explain",
    "families",
    "describe",
    "pool",
    "prove",
)
LATER = ("explain", "families", "describe")
"""Stages that tables of others are joined without."""
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
TRAIN_CODE = (train, schedule, augment, whitening, dynamics, distributed, model)
MAP_SETTINGS = ("seed", "pca_dims", "umap_neighbors", "umap_min_dist")
CLUSTER_SETTINGS = ("seed", "kmeans_clusters", "hdbscan_min_cluster_size")
TEST_SETTINGS = ("seed", "permutations", "false_discovery_rate", "min_group_size")


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
            lambda _: {"properties": stage_tables.property_table(self._dataset, self._progress)},
            settings=(),
            code=(properties,),
            inputs=(self._dataset.content(),),
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
            inputs=(self._dataset.content(), self.train.fingerprint, *(fold.fingerprint for fold in self.folds)),
        )

    @cached_property
    def neighbors(self) -> Finished:
        return self._work.stage(
            "neighbors",
            lambda _: stage_tables.neighbor_table(self._sample_id, self._embedding, self._settings, self._progress),
            settings=("neighbors",),
            code=(neighbors,),
            inputs=(self.score.fingerprint,),
        )

    @cached_property
    def index(self) -> Finished:
        return self._work.stage(
            "index",
            lambda _: search_index.index_table(self._embedding, self._settings, self._progress),
            settings=("seed", "index_above"),
            code=(search_index,),
            inputs=(self.score.fingerprint, str(faiss_is_installed())),
        )

    @cached_property
    def project(self) -> Finished:
        return self._work.stage(
            "project",
            lambda _: stage_tables.map_tables(self._sample_id, self._embedding, self.neighbors, self._settings),
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
            lambda _: stage_tables.cluster_table(self._sample_id, self.project.frames["components"], self._settings),
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
    def doubt(self) -> Finished:
        return self._work.stage(
            "doubt",
            lambda _: {"label_issues": self._doubt()},
            settings=(),
            code=(label_issues,),
            inputs=(self.neighbors.fingerprint, self.train.fingerprint),
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
        staged = self._staged(without=("families", "describe"))
        return self._work.stage(
            "families",
            lambda _: {"map_families": map_families.find_families(staged, seed=self._settings.seed)},
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
            code=(proofs, map_proofs, label_proofs, copy_proofs, proof),
            inputs=(self.explain.fingerprint, self.doubt.fingerprint, self.copies.fingerprint),
        )

    @cached_property
    def _embedding(self) -> NDArray[np.float32]:
        return stage_tables.to_matrix(self.score.frames["embeddings"]["embedding"])

    @cached_property
    def _fold(self) -> NDArray[np.int64]:
        """The fold of each training sample, in the order of the dataset."""
        label = self._dataset.label[self._dataset.rows("train")]
        return folds.assign_folds(label, self._settings.folds, seed=self._settings.seed)

    def _training(self, name: str, rows: NDArray[np.int64], *, inputs: tuple[str, ...]) -> Finished:
        return self._work.stage(
            name,
            lambda folder: stage_tables.train_model(folder, self._dataset, rows, self._settings, self._progress),
            settings=TRAIN_SETTINGS,
            code=TRAIN_CODE,
            inputs=(self._dataset.dataset_id, self._dataset.content("train"), *inputs),
        )

    def _classifier(self, training: Finished) -> nn.Module:
        classifier, _ = model.load_checkpoint(
            training.folder / CHECKPOINT, classes=self._dataset.classes, dataset_id=self._dataset.dataset_id
        )
        return classifier.to(model.choose_device(self._settings.device))

    def _staged(self, *, without: tuple[str, ...] = ()) -> Staged:
        """The tables of the stages that measure samples, those of the named stages empty."""
        joined = Staged(self._dataset.groups, {"samples": self._dataset.to_frame()})
        for name in ("properties", "score", "neighbors", "project", "cluster", "copies", *LATER):
            joined.frames |= {} if name in without else getattr(self, name).frames
        for table in ("triage", "map_families"):
            joined.frames.setdefault(table, make_frame(table, []))
        return joined

    def _explain(self) -> pl.DataFrame:
        chosen = explain.choose_maps(self._dataset, self.score.frames["predictions"])
        trained = dict(enumerate([self.train, *self.folds]))
        models = {fold: self._classifier(trained[fold]) for fold in chosen["fold"].unique()}
        return explain.compute_loss_maps(models, self._dataset, chosen, self._settings, self._progress)

    def _doubt(self) -> pl.DataFrame:
        near, classes = self.neighbors.frames["neighbors"], self._dataset.classes
        evidence = label_issues.gather_evidence(self._staged(without=LATER), near, classes)
        return label_issues.find_label_issues(evidence, self.train.frames["dynamics"], classes)

    def _prove(self) -> pl.DataFrame:
        by_main_model = self.score.frames["predictions"].filter(pl.col("fold").is_null())
        temperature = float(by_main_model["temperature"][0])
        main = StoredModel(self._classifier(self.train), self._settings.resolution, temperature)
        images, sample_id = self._dataset.images_NHWC, self._dataset.sample_id
        return proofs.prove(
            self._staged(),
            main,
            self._dataset.classes,
            lambda chosen: images[np.searchsorted(sample_id, chosen)],
            seed=self._settings.seed,
            progress=self._progress,
        )

    def _separation(self) -> pl.DataFrame:
        label, groupings = stage_tables.group_codes(self._dataset, self._rows)
        nearest = stage_tables.rows_of_neighbors(self._sample_id, self.neighbors)
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
        points = cluster.normalize_rows(stage_tables.to_matrix(self.project.frames["components"]["component"]))
        return cluster_quality.assess(points, found, self._settings, self._progress)

    def _describe(self) -> Frames:
        """Why losses are high, what the clusters are, and which groups are hard."""
        joined = self._staged(without=LATER)
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
