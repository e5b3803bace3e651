"""How each stage of `lake.contracts.stages` is computed: its function, facts and settings.

`Stages(...).run()` finds or computes them in order; `pipeline.refresh.refresh` publishes the results.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lake.contracts.stages import BY_NAME, STAGES, Need, Stage
from lake.contracts.tables import make_frame
from lake.search.ann_index import faiss_is_installed
from pipeline.data.dataset import Dataset
from pipeline.engine.code_hash import hash_code
from pipeline.engine.hashing import hash_facts
from pipeline.engine.previous_run import PreviousRun
from pipeline.engine.progress import Progress
from pipeline.engine.stage_cache import Finished, Workspace
from pipeline.measure import ann_index
from pipeline.measure.score import choose_scored
from pipeline.model import distributed
from pipeline.settings import Settings
from pipeline.stages import external
from pipeline.stages import tables as stage_tables
from pipeline.stages.inputs import StageInputs
from pipeline.stages.reuse import AboutFit, Computation, Fit, PerSample, StageRun, Whole
from pipeline.stages.trainings import Trainings

CLUSTER_SETTINGS = ("seed", "kmeans_clusters", "hdbscan_min_cluster_size")
COMPUTATIONS: dict[str, Computation] = {
    "properties": PerSample(
        stage_tables.property_table,
        value_facts=("dataset.id",),
        sample_facts=("dataset.content",),
        reuses=("properties",),
    ),
    "score": PerSample(
        stage_tables.score_tables,
        settings=("scored_train",),
        value_facts=("train.fingerprint", "folds.fingerprint"),
        sample_facts=("dataset.content", "dataset.scored"),
        reuses=("predictions", "embeddings"),
    ),
    "search_index": Whole(
        stage_tables.search_index_table,
        settings=("seed", "index_above"),
        facts=("score.fingerprint", "search_index.faiss"),
    ),
    "neighbors": PerSample(
        stage_tables.neighbor_table,
        settings=("neighbors",),
        value_facts=("score.value_key", "search_index.proposes"),
        sample_facts=("score.fingerprint",),
        reuses=("neighbors",),
    ),
    "projection": Fit(
        stage_tables.fit_projection,
        stage_tables.extend_projection,
        settings=("seed", "pca_dims", "umap_neighbors", "umap_min_dist"),
        value_facts=("neighbors.value_key",),
        sample_facts=("neighbors.fingerprint",),
        reuses=("projection", "map_quality"),
        starts_from_previous=True,
    ),
    "separation": AboutFit(
        stage_tables.separation_table,
        carry=lambda previous: previous.tables("separation"),
        settings=("seed",),
        facts=("projection.fit_id", "dataset.labelled"),
    ),
    "clusters": Fit(
        stage_tables.fit_clusters,
        stage_tables.extend_clusters,
        settings=CLUSTER_SETTINGS,
        value_facts=("projection.value_key",),
        sample_facts=("projection.fingerprint",),
        reuses=("clusters",),
    ),
    "cluster_quality": AboutFit(
        stage_tables.cluster_quality_tables,
        carry=stage_tables.carried_cluster_quality,
        settings=CLUSTER_SETTINGS,
        facts=("clusters.fit_id",),
    ),
    "duplicates": PerSample(
        stage_tables.duplicate_table,
        value_facts=("neighbors.value_key",),
        sample_facts=("neighbors.fingerprint",),
        reuses=("duplicates",),
    ),
    "label_issues": Whole(stage_tables.label_issue_table, facts=("neighbors.fingerprint", "train.fingerprint")),
    "loss_maps": PerSample(
        stage_tables.loss_map_table,
        settings=("seed", "loss_map_layers"),
        value_facts=("score.value_key", "score.temperature"),
        sample_facts=("score.fingerprint",),
        reuses=("loss_maps",),
    ),
    "map_families": Whole(stage_tables.map_family_table, settings=("seed",), facts=("loss_maps.fingerprint",)),
    "findings": Whole(
        stage_tables.finding_tables,
        settings=("seed", "permutations", "false_discovery_rate", "min_group_size"),
        facts=(
            "cluster_quality.fingerprint",
            "clusters.fingerprint",
            "score.fingerprint",
            "properties.fingerprint",
            "duplicates.fingerprint",
            "dataset.carried",
        ),
    ),
    "pooled_maps": Whole(
        stage_tables.pooled_map_table,
        settings=("min_group_size",),
        facts=("findings.fingerprint", "map_families.fingerprint"),
    ),
    "checks": AboutFit(
        stage_tables.check_table,
        carry=lambda previous: previous.tables("proofs"),
        settings=("seed",),
        facts=("projection.fit_id", "loss_maps.value_key", "duplicates.value_key", "dataset.labelled"),
    ),
}
"""For a run with a model. Trainings, which are not measurements, are handled by `pipeline.stages.trainings`."""
EXTERNAL = COMPUTATIONS | {
    "score": PerSample(external.score_tables, value_facts=("dataset.predictions",), sample_facts=("dataset.content",)),
    "checks": Whole(external.check_table, settings=("seed",), facts=("label_issues.fingerprint",)),
}
"""For a run with external predictions."""
FACTS: dict[str, Callable[["Stages"], str]] = {
    "dataset.id": lambda stages: stages.dataset.dataset_id,
    "dataset.content": lambda stages: stages.dataset.content(),
    "dataset.scored": lambda stages: hash_facts(stages.rows.tolist()),
    "dataset.labelled": lambda stages: stages.dataset.content("train", "validation", "test"),
    "dataset.carried": lambda stages: json.dumps(stages.dataset.besides()),
    "dataset.predictions": lambda stages: stages.dataset.external.content() if stages.dataset.external else "",
    "score.temperature": lambda stages: repr(stages["score"].frames["headline"].filter(name="temperature")["value"][0]),
    "search_index.faiss": lambda _: str(faiss_is_installed()),
    "search_index.proposes": lambda stages: (
        hash_code(ann_index.index_table) if len(stages["search_index"].frames["search_index"]) else ""
    ),
}
"""Facts of a refresh besides `stage.fingerprint`, `stage.value_key` and `stage.fit_id` of each stage."""


class Stages:
    """The stages of one dataset under one set of settings, each computed at most once.

    `settings` are the given ones, with the architecture and phases of a kept model if there is one.
    """

    dataset: Dataset
    rows: NDArray[np.int64]
    """Row indices of the scored samples in the dataset, ascending."""

    def __init__(
        self, dataset: Dataset, settings: Settings, progress: Progress, previous: PreviousRun | None = None
    ) -> None:
        self.dataset, self._progress, self._previous = dataset, progress, previous
        self._external = dataset.external is not None
        self.rows = np.arange(len(dataset)) if self._external else choose_scored(dataset, settings)
        self._embedded_rows = self.rows
        if dataset.external:
            self._embedded_rows = np.flatnonzero(dataset.external.embedded(dataset.sample_id))
        self._work = Workspace(settings.work_dir, settings, progress, stores=distributed.this_rank() == 0)
        self._computations = EXTERNAL if self._external else COMPUTATIONS
        self._finished: dict[str, list[Finished]] = {}
        self._fact = cache(self._look_up)
        self.settings = settings
        if not self._external:
            self._trainings = Trainings(dataset, settings, progress, work=self._work, previous=previous)
            self.settings = self._trainings.settings
        if previous and not previous.is_comparable:
            outcome = "it has no model" if self._external else self._trainings.say_adopted()
            progress.say(
                f"{previous.run.run_id} was made by an earlier version of latentlake: {outcome}; "
                "the rest is computed again."
            )

    @property
    def lacks(self) -> set[Need]:
        """The needs that this dataset and run cannot meet."""
        lacking: dict[Need, bool] = {
            "model": self._external,
            "embeddings": not len(self._embedded_rows),
            "images": not self.dataset.pictured,
            "classes": len(self.dataset.classes) < 2,
        }
        return {need for need, lacks in lacking.items() if lacks}

    def run(self) -> dict[str, Finished]:
        """All possible stages by name, in execution order; the trainings of the folds are `fold-1`, `fold-2`, ..."""
        finished: dict[str, Finished] = {}
        for stage in STAGES:
            if self.lacks.isdisjoint(stage.needs):
                names = [stage.name] if stage.name != "folds" else [f"fold-{k + 1}" for k in range(self.settings.folds)]
                finished |= zip(names, self.find(stage.name), strict=True)
        return finished

    def help_training(self) -> None:
        """Take part in every training, as a process of `torchrun` other than the first."""
        if not self._external:
            self.find("train")
            self.find("folds")

    def __getitem__(self, name: str) -> Finished:
        """The result of a stage other than `folds`."""
        (finished,) = self.find(name)
        return finished

    def find(self, name: str) -> list[Finished]:
        """The result of a stage: one item, or one per fold. A stage that is not possible has tables without rows."""
        if name not in self._finished:
            self._finished[name] = self._find(BY_NAME[name])
        return self._finished[name]

    def _find(self, stage: Stage) -> list[Finished]:
        if not self.lacks.isdisjoint(stage.needs):
            empty = {table: make_frame(table, []) for table in stage.tables}
            return [] if stage.name == "folds" else [replace(self["score"], frames=empty)]
        if stage.name == "train":
            return [self._trainings.main()]
        if stage.name == "folds":
            return self._trainings.of_folds()
        stage_run = StageRun(self._inputs(stage), self._work, self._previous, self._fact)
        return [self._computations[stage.name].find(stage_run)]

    def _inputs(self, stage: Stage) -> StageInputs:
        previous = self._previous
        return StageInputs(
            dataset=self.dataset,
            rows=self._embedded_rows if stage.covers_embedded else self.rows,
            settings=self.settings,
            progress=self._progress,
            known_id=previous.sample_id if previous else np.zeros(0, np.int64),
            stage=stage,
            find=self.find,
        )

    def _look_up(self, fact: str) -> str:
        if fact in FACTS:
            return FACTS[fact](self)
        stage, attribute = fact.split(".")
        values: list[str] = [getattr(finished, attribute) for finished in self.find(stage)]
        return values[0] if len(values) == 1 else hash_facts(values)
