"""The stages of predictions that were brought: nothing is trained, and what needs more than that is left empty."""

from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline import brought_predictions, label_issues, label_proofs, proof, score
from pipeline.before import Before
from pipeline.datasets import Brought, Dataset
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.stages import Stages
from pipeline.workspace import Finished, Workspace

OF_MODEL = {
    "train": ("training", "dynamics", "models"),
    "explain": ("loss_maps",),
    "families": ("map_families",),
    "pool": ("pooled_maps",),
}
OF_EMBEDDINGS = {
    "neighbors": ("embeddings", "neighbors"),
    "index": ("search_index",),
    "project": ("projection", "map_quality"),
    "separate": ("separation",),
    "cluster": ("clusters",),
    "assess": ("cluster_quality",),
}
OF_IMAGES = {"properties": ("properties",)}
OF_BOTH = {"copies": ("duplicates",)}
"""Stages with their tables, by what they need: copies are proposed by embeddings and compared by their pixels."""


class BroughtStages(Stages):
    """The stages of a dataset whose predictions, and perhaps embeddings and images, were brought.

    A stage that cannot be stands for `score`, among whose tables are its own without rows.
    """

    def __init__(self, dataset: Dataset, settings: Settings, progress: Progress, before: Before | None = None) -> None:
        super().__init__(dataset, settings, progress, before)
        # Into where `cached_property` keeps what it found: whoever asks for these stages finds them done.
        vars(self).update(dict.fromkeys(self._absent(), self.score) | {"folds": []})

    def _choose_rows(self, settings: Settings) -> NDArray[np.int64]:  # noqa: ARG002
        return np.arange(len(self.dataset))

    def _prepare(self, settings: Settings, work: Workspace, before: Before | None) -> Settings:  # noqa: ARG002
        return settings

    def run(self) -> dict[str, Finished]:
        """Every stage by name that can be, in the order they run."""
        stages = super().run()
        return {name: stage for name, stage in stages.items() if name not in self._absent()}

    def help_training(self) -> None:
        """Nothing: there is no training."""

    @cached_property
    def score(self) -> Finished:
        empty = tuple(table for tables in self._absent().values() for table in tables)
        return self._plan.by_row(
            "score",
            lambda _: brought_predictions.brought_tables(self.dataset, empty),
            code=(brought_predictions, score),
            of=(self._brought.content(), *empty),
            rows=(self.dataset.content(),),
            knows=(),
        )

    @cached_property
    def prove(self) -> Finished:
        return self._plan.whole(
            "prove",
            lambda: {"proofs": self._prove()},
            settings=("seed",),
            code=(label_proofs, label_issues, proof),
            inputs=(self.doubt.fingerprint,),
        )

    def _prove(self) -> pl.DataFrame:
        """Labels are flipped and have to be found; all else that is proved needs the model."""
        classes = self.dataset.classes
        evidence = label_issues.gather_evidence(self._staged(), self.neighbors.frames["neighbors"], classes)
        return label_proofs.prove_label_issues(evidence, classes, seed=self.settings.seed)

    @property
    def _brought(self) -> Brought:
        assert self.dataset.brought is not None
        return self.dataset.brought

    def _absent(self) -> dict[str, tuple[str, ...]]:
        located = self._brought.embedding_ND.shape[1] > 0
        pictured = self.dataset.pictured
        return (
            OF_MODEL
            | ({} if located else OF_EMBEDDINGS)
            | ({} if pictured else OF_IMAGES)
            | ({} if located and pictured else OF_BOTH)
        )
