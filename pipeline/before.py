"""What the last published run of the dataset already knows, so that a refresh measures only what is new.

The lake is the state: a machine with an empty work folder finds the model and all measurements there. Each stage is
recorded in `runs` with what it stands for: `row_key` (what the value of a sample depends on besides the sample) and
`fit` (the fit of all samples that later ones are added to).
"""

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.damage import reading
from lake.store import Lake, Run
from pipeline.workspace import CHECKPOINT, Frames


@dataclass(frozen=True)
class Record:
    """What a stage of a run was, as `runs` has it."""

    fingerprint: str
    row_key: str
    fit: str


class Before:
    """The last published run of a dataset, as far as its stages are recorded."""

    def __init__(self, run: Run) -> None:
        self.run = run
        rows = run.facts["stages"] or []
        self._records = {row["name"]: Record(row["fingerprint"], row["row_key"], row["fit"]) for row in rows}

    def record(self, stage: str) -> Record | None:
        """The stage as it was, if it was recorded."""
        return self._records.get(stage)

    def tables(self, *names: str) -> Frames:
        """Tables of the run without their partition key."""
        with reading(self.run.lake.root):
            return {name: self.run.scan(name).drop("run_id", "dataset_id", strict=False).collect() for name in names}

    @cached_property
    def sample_id(self) -> NDArray[np.int64]:
        """The samples that were scored."""
        with reading(self.run.lake.root):
            return self.run.scan("predictions").select("sample_id").collect().to_series().to_numpy()

    def fitted_samples(self, stage: str, fit: str) -> int:
        """How many samples the first run that is left with a fit of a stage has."""
        named = (pl.element().struct.field("name") == stage) & (pl.element().struct.field("fit") == fit)
        runs = self._recorded().filter(pl.col("stages").list.eval(named).list.any()).sort("published_at")
        return {table["name"]: table["rows"] for table in runs["tables"][0]}["predictions"]

    def restore_training(self, stage: str, folder: Path) -> Frames:
        """The model of a training written to the folder, and its tables."""
        fold = 0 if stage == "train" else int(stage.removeprefix("fold-"))
        with reading(self.run.lake.root):
            weights = self.run.scan("models").filter(pl.col("fold") == fold).select("weights").collect().item()
        (folder / CHECKPOINT).write_bytes(weights)
        return self.tables("training", "dynamics") if stage == "train" else {}

    @cached_property
    def model_age(self) -> dt.timedelta:
        """Since the model was first published; none where the clock went back."""
        trained = self._records["train"].fingerprint
        named = pl.element().struct.field("fingerprint") == trained
        first = self._recorded().filter(pl.col("stages").list.eval(named).list.any())["published_at"].min()
        assert isinstance(first, dt.datetime)
        return max(dt.timedelta(0), dt.datetime.now(dt.UTC) - first)

    def _recorded(self) -> pl.DataFrame:
        return self.run.lake.runs().drop_nulls("stages")


def find_before(lake: Lake, dataset_id: str) -> Before | None:
    """What the newest published run of the dataset knows; None where there is none with recorded stages.

    And where its model is not in the lake, although it had one.
    """
    found = lake.runs().filter(dataset_id=dataset_id)
    if found.is_empty() or found["stages"][0] is None:
        return None
    before = Before(lake.run(found["run_id"][0]))
    return None if before.record("train") and not before.run.has("models") else before
