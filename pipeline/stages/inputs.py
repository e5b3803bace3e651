"""Inputs of a stage: the dataset, the settings, and the earlier stages that it declares to read.

Shapes: N scored samples, D features, R neighbours.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import nn

from lake.contracts.stages import Stage
from lake.contracts.tables import make_frame
from pipeline.data.dataset import Dataset
from pipeline.engine.progress import Progress
from pipeline.engine.stage_cache import CHECKPOINT, Finished, Frames
from pipeline.model.classifier import choose_device, load_checkpoint
from pipeline.settings import Settings


@dataclass
class Staged:
    """The tables of a run before it is published; `scan` works like that of `lake.storage.store.Run`."""

    groups: dict[str, dict[str, str]]
    frames: Frames = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)

    def scan(self, name: str) -> pl.LazyFrame:
        return self.frames[name].lazy()


@dataclass(frozen=True)
class StageInputs:
    """The view of a refresh that one stage has."""

    dataset: Dataset
    rows: NDArray[np.int64]
    """Row indices [N] in the dataset, ascending, of the samples that the stage covers.

    These are the scored samples; of external predictions, some stages cover only those that have an embedding.
    """
    settings: Settings
    progress: Progress
    known_id: NDArray[np.int64]
    """Ids of the samples that the previous run scored."""
    stage: Stage
    find: Callable[[str], list[Finished]]
    """Find an earlier stage by name: one item, or one per fold."""

    @property
    def sample_id(self) -> NDArray[np.int64]:
        """Ids of the covered samples [N], ascending."""
        return self.dataset.sample_id[self.rows]

    def frame(self, stage: str, table: str) -> pl.DataFrame:
        """A table of an earlier stage."""
        return self._frames(stage)[table]

    def classifier(self, fold: int = 0) -> nn.Module:
        """The model of a fold, or the main model (0), on the device named by the settings."""
        (training,) = self._read("train") if fold == 0 else self._read("folds")[fold - 1 : fold]
        classifier, _ = load_checkpoint(
            training.folder / CHECKPOINT,
            classes=self.dataset.classes,
            dataset_id=self.dataset.dataset_id,
            layers=self.settings.loss_map_layers,
        )
        return classifier.to(choose_device(self.settings.device))

    def embedding(self) -> NDArray[np.float32]:
        """Embeddings [N, D] of the scored samples that have one, by ascending id; [0, 0] if none has."""
        return to_matrix(self.frame("score", "embeddings")["embedding"])

    def nearest(self) -> NDArray[np.int64]:
        """Row indices [N, R], among the covered samples, of the neighbours of each, most similar first."""
        near = self.frame("neighbors", "neighbors")["neighbor_id"].to_numpy()
        return np.searchsorted(self.sample_id, near.reshape(len(self.rows), -1))

    def tables(self) -> Staged:
        """The tables of the dataset and of all stages that are read; `triage` and `map_families` may be empty."""
        joined = Staged(self.dataset.groups, {"samples": self.dataset.frame}, self.dataset.metadata_kinds)
        for stage in self.stage.reads:
            for finished in self._read(stage):
                joined.frames |= finished.frames
        for table in ("triage", "map_families"):
            joined.frames.setdefault(table, make_frame(table, []))
        return joined

    def _frames(self, stage: str) -> Frames:
        (finished,) = self._read(stage)
        return finished.frames

    def _read(self, stage: str) -> list[Finished]:
        if stage not in self.stage.reads:
            raise KeyError(f"{self.stage.name} reads {stage} but does not declare it in lake.contracts.stages")
        return self.find(stage)


def to_matrix(column: pl.Series) -> NDArray[np.float32]:
    """A column of equally long lists as a matrix [N, D]; an empty column becomes [0, 0]."""
    if column.is_empty():
        return np.empty((0, 0), np.float32)
    return column.explode().to_numpy(writable=True).reshape(len(column), -1)
