"""The stages: what each one computes, from which settings, code and earlier stages.

`Stages(...).run()` finds or computes them in order; `pipeline.refresh` publishes what they leave.
"""

from functools import cached_property, partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake import differences, loss_maps, queries
from lake.contracts import make_frame
from lake.search_index import faiss_is_installed
from pipeline import (
    architecture,
    cluster,
    cluster_quality,
    copy_proofs,
    data_findings,
    describe,
    distributed,
    duplicates,
    explain,
    fidelity,
    findings,
    fit_umap,
    folds,
    groups,
    increments,
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
    score,
    search_index,
    separation,
    stable_map,
    stage_tables,
    statements,
    triage,
)
from pipeline.before import Before
from pipeline.datasets import Dataset
from pipeline.plan import Plan
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.stage_tables import Staged
from pipeline.stored_model import StoredModel
from pipeline.trainings import Trainings
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
MAP_SETTINGS = ("seed", "pca_dims", "umap_neighbors", "umap_min_dist")
CLUSTER_SETTINGS = ("seed", "kmeans_clusters", "hdbscan_min_cluster_size")
TEST_SETTINGS = ("seed", "permutations", "false_discovery_rate", "min_group_size")


class Stages:
    """Each stage of one dataset under one set of settings, computed at most once.

    `settings` are those given, or with the phases of a model that is kept.
    """

    def __init__(self, dataset: Dataset, settings: Settings, progress: Progress, before: Before | None = None) -> None:
        self.dataset, self._progress = dataset, progress
        self._rows = self._choose_rows(settings)
        self._sample_id = dataset.sample_id[self._rows]
        work = Workspace(settings.work_dir, settings, progress, stores=distributed.this_rank() == 0)
        self._plan = Plan(work, before, samples=len(self._rows))
        self.settings = self._prepare(settings, work, before)
        self._examined = before.sample_id if before else np.zeros(0, np.int64)
        self._labelled = dataset.content("train", "validation", "test")

    def _choose_rows(self, settings: Settings) -> NDArray[np.int64]:
        return score.choose_scored(self.dataset, settings)

    def _prepare(self, settings: Settings, work: Workspace, before: Before | None) -> Settings:
        """The settings, with those of the model that is kept, if one is."""
        self._trainings = Trainings(self.dataset, settings, self._progress, work=work, plan=self._plan, before=before)
        return self._trainings.settings

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
        return self._plan.by_row(
            "properties",
            lambda known: {
                "properties": stage_tables.property_table(self.dataset, self.settings, self._progress, known)
            },
            code=(properties,),
            of=(self.dataset.dataset_id,),
            rows=(self.dataset.content(),),
            knows=("properties",),
        )

    @cached_property
    def train(self) -> Finished:
        return self._trainings.main()

    @cached_property
    def folds(self) -> list[Finished]:
        """The models of the folds: number k never saw the training samples of fold k."""
        return self._trainings.of_folds()

    @cached_property
    def score(self) -> Finished:
        return self._plan.by_row(
            "score",
            lambda known: stage_tables.score_tables(
                self.dataset,
                self._rows,
                self._trainings.fold_of_train,
                [self._trainings.classifier(training) for training in (self.train, *self.folds)],
                self.settings,
                self._progress,
                known,
            ),
            settings=("scored_train",),
            code=(score, folds, architecture, model),
            of=(self.train.fingerprint, *(fold.fingerprint for fold in self.folds)),
            rows=(self.dataset.content(),),
            knows=() if self.folds else ("predictions", "embeddings"),
        )

    @cached_property
    def neighbors(self) -> Finished:
        index = self.index.frames["search_index"]
        proposes = (search_index,) if len(index) else ()
        return self._plan.by_row(
            "neighbors",
            lambda known: {
                "neighbors": stage_tables.neighbor_table(
                    self._sample_id, self._embedding, index, self.settings, self._progress, known
                )
            },
            settings=("neighbors",),
            code=(neighbors, increments, *proposes),
            of=(self.score.row_key,),
            rows=(self.score.fingerprint,),
            knows=("neighbors",),
        )

    @cached_property
    def index(self) -> Finished:
        return self._plan.whole(
            "index",
            lambda: search_index.index_table(self._embedding, self.settings, self._progress),
            settings=("seed", "index_above"),
            code=(search_index,),
            inputs=(self.score.fingerprint, str(faiss_is_installed())),
        )

    @cached_property
    def project(self) -> Finished:
        given = (self._sample_id, self._embedding, self.neighbors, self.settings)
        return self._plan.fitted(
            "project",
            lambda earlier: stage_tables.fit_map(*given, earlier),
            lambda known: stage_tables.extend_map(*given, known),
            settings=MAP_SETTINGS,
            code=(project, fit_umap, stable_map, fidelity, increments),
            of=(self.neighbors.row_key,),
            rows=(self.neighbors.fingerprint,),
            knows=("projection", "map_quality"),
            follows=True,
        )

    @cached_property
    def separate(self) -> Finished:
        return self._plan.about(
            "separate",
            lambda: stage_tables.separation_table(
                self.dataset, self._rows, self.score, self.neighbors, self.project, seed=self.settings.seed
            ),
            lambda before: before.tables("separation"),
            settings=("seed",),
            code=(separation,),
            inputs=(self.project.fit, self._labelled),
        )

    @cached_property
    def cluster(self) -> Finished:
        found = partial(stage_tables.cluster_table, self._sample_id, self.project, self.settings, self._progress)
        return self._plan.fitted(
            "cluster",
            lambda _: {"clusters": found(None)},
            lambda known: {"clusters": found(known["clusters"])},
            settings=CLUSTER_SETTINGS,
            code=(cluster, increments),
            of=(self.project.row_key,),
            rows=(self.project.fingerprint,),
            knows=("clusters",),
        )

    @cached_property
    def assess(self) -> Finished:
        return self._plan.about(
            "assess",
            lambda: stage_tables.quality_tables(self.cluster, self.project, self.settings, self._progress),
            stage_tables.carried_quality,
            settings=CLUSTER_SETTINGS,
            code=(cluster, cluster_quality),
            inputs=(self.cluster.fit,),
        )

    @cached_property
    def copies(self) -> Finished:
        given = (self.dataset, self._rows, self.neighbors, self._progress, self._examined)
        return self._plan.by_row(
            "copies",
            lambda known: {"duplicates": stage_tables.copy_table(*given, known)},
            code=(duplicates,),
            of=(self.neighbors.row_key,),
            rows=(self.neighbors.fingerprint,),
            knows=("duplicates",),
        )

    @cached_property
    def doubt(self) -> Finished:
        return self._plan.whole(
            "doubt",
            lambda: {"label_issues": self._doubt()},
            code=(label_issues,),
            inputs=(self.neighbors.fingerprint, self.train.fingerprint),
        )

    @cached_property
    def explain(self) -> Finished:
        temperature = self.score.frames["headline"].filter(name="temperature")["value"][0]
        return self._plan.by_row(
            "explain",
            lambda known: {"loss_maps": self._explain(known)},
            settings=("seed", "loss_map_layers"),
            code=(explain, occlude, loss_maps, architecture, model),
            of=(self.score.row_key, repr(temperature)),
            rows=(self.score.fingerprint,),
            knows=() if self.folds else ("loss_maps",),
        )

    @cached_property
    def families(self) -> Finished:
        staged = self._staged(without=("families", "describe"))
        return self._plan.whole(
            "families",
            lambda: {"map_families": map_families.find_families(staged, seed=self.settings.seed)},
            settings=("seed",),
            code=(map_families, loss_maps),
            inputs=(self.explain.fingerprint,),
        )

    @cached_property
    def describe(self) -> Finished:
        measured = (self.assess, self.cluster, self.score, self.properties, self.copies)
        return self._plan.whole(
            "describe",
            lambda: stage_tables.description_tables(
                self._staged(without=LATER),
                self._embedding,
                self.assess,
                self.settings,
                self._progress,
                training_images=len(self.dataset.rows("train")),
            ),
            settings=TEST_SETTINGS,
            code=(describe, findings, data_findings, groups, statements, triage, permutation, differences, queries),
            inputs=(*(stage.fingerprint for stage in measured), *self.dataset.besides()),
        )

    @cached_property
    def pool(self) -> Finished:
        return self._plan.whole(
            "pool",
            lambda: {"pooled_maps": pooled_maps.pool_maps(self._staged(), self.settings)},
            settings=("min_group_size",),
            code=(pooled_maps, loss_maps, groups),
            inputs=(self.describe.fingerprint, self.families.fingerprint),
        )

    @cached_property
    def prove(self) -> Finished:
        return self._plan.about(
            "prove",
            lambda: {"proofs": self._prove()},
            lambda before: before.tables("proofs"),
            settings=("seed",),
            code=(proofs, map_proofs, label_issues, label_proofs, copy_proofs, proof),
            inputs=(self.project.fit, self.explain.row_key, self.copies.row_key, self._labelled),
        )

    @cached_property
    def _embedding(self) -> NDArray[np.float32]:
        """Of the samples that are scored [N, D]; D is 0 where predictions were brought without."""
        return stage_tables.to_matrix(self.score.frames["embeddings"]["embedding"], rows=len(self._rows))

    def _staged(self, *, without: tuple[str, ...] = ()) -> Staged:
        """The tables of the stages that measure samples, those of the named stages empty."""
        joined = Staged(self.dataset.groups, {"samples": self.dataset.frame}, self.dataset.metadata_kinds)
        for name in ("properties", "score", "neighbors", "project", "cluster", "copies", *LATER):
            joined.frames |= {} if name in without else getattr(self, name).frames
        for table in ("triage", "map_families"):
            joined.frames.setdefault(table, make_frame(table, []))
        return joined

    def _explain(self, known: Frames | None) -> pl.DataFrame:
        chosen = explain.choose_maps(self.dataset, self.score.frames["predictions"])
        trained = dict(enumerate([self.train, *self.folds]))
        models = {fold: self._trainings.classifier(trained[fold]) for fold in chosen["fold"].unique()}
        maps = known["loss_maps"] if known else None
        return explain.extend_loss_maps(maps, models, self.dataset, chosen, self.settings, self._progress)

    def _doubt(self) -> pl.DataFrame:
        near, classes = self.neighbors.frames["neighbors"], self.dataset.classes
        evidence = label_issues.gather_evidence(self._staged(without=LATER), near, classes)
        return label_issues.find_label_issues(evidence, self.train.frames["dynamics"], classes)

    def _prove(self) -> pl.DataFrame:
        by_main_model = self.score.frames["predictions"].filter(pl.col("fold").is_null())
        temperature = float(by_main_model["temperature"][0])
        main = StoredModel(self._trainings.classifier(self.train), self.settings.resolution, temperature)
        images, sample_id = self.dataset.images_NHWC, self.dataset.sample_id
        return proofs.prove(
            self._staged(),
            main,
            self.dataset.classes,
            lambda chosen: images[np.searchsorted(sample_id, chosen)],
            seed=self.settings.seed,
            threads=self.settings.threads,
            progress=self._progress,
        )
