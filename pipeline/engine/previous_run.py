"""The last published run of the dataset and what it already knows, so that a refresh measures only what is new.

The lake is the state: a machine with an empty work folder finds the model and all measurements there. For each stage,
`runs` records a key of everything that a sample's value depends on besides the sample itself (`row_key`), and the id of
the fit to which later samples are added (`fit`).
"""

import datetime as dt
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.stages import RENAMED
from lake.storage.damage import reading
from lake.storage.store import Lake, Run
from pipeline.engine.hashing import hash_samples
from pipeline.engine.stage_cache import CHECKPOINT, KEY_RULE, Frames


@dataclass(frozen=True)
class Record:
    """What `runs` records of one stage."""

    fingerprint: str
    value_key: str
    fit_id: str

    @property
    def is_comparable(self) -> bool:
        """Whether its keys follow the current key rule."""
        return self.value_key.startswith(KEY_RULE)


class PreviousRun:
    """The last published run of a dataset, with its recorded stages."""

    def __init__(self, run: Run) -> None:
        self.run = run
        rows = run.facts["stages"] or []
        self._records = {
            RENAMED.get(row["name"], row["name"]): Record(row["fingerprint"], row["row_key"], row["fit"])
            for row in rows
        }

    def record(self, stage: str) -> Record | None:
        """The record of a stage, or None."""
        return self._records.get(stage)

    @property
    def is_comparable(self) -> bool:
        """Whether the keys of its stages can be compared with current ones."""
        return self._records["score"].is_comparable

    def tables(self, *names: str) -> Frames:
        """Tables of the run without their partition key."""
        with reading(self.run.lake.root):
            return {name: self.run.scan(name).drop("run_id", "dataset_id", strict=False).collect() for name in names}

    @cached_property
    def sample_id(self) -> NDArray[np.int64]:
        """Ids of the scored samples."""
        with reading(self.run.lake.root):
            return self.run.scan("predictions").select("sample_id").collect().to_series().to_numpy()

    def fitted_samples(self, stage: str, fit_id: str) -> int:
        """Number of samples with an embedding in the oldest remaining run that has this fit of the stage."""
        has_fit = (pl.element().struct.field("name") == stage) & (pl.element().struct.field("fit") == fit_id)
        runs = self._recorded_runs().filter(pl.col("stages").list.eval(has_fit).list.any()).sort("published_at")
        return {table["name"]: table["rows"] for table in runs["tables"][0]}["embeddings"]

    def restore_training(self, stage: str, folder: Path) -> Frames:
        """Write the model of a training to the folder and return its tables."""
        fold = 0 if stage == "train" else int(stage.removeprefix("fold-"))
        with reading(self.run.lake.root):
            weights = self.run.scan("models").filter(pl.col("fold") == fold).select("weights").collect().item()
        (folder / CHECKPOINT).write_bytes(weights)
        return self.tables("training", "dynamics") if stage == "train" else {}

    @cached_property
    def config(self) -> dict[str, Any]:
        """All settings of the run."""
        return dict(json.loads(self.run.facts["config"]))

    def content(self, split: str) -> str:
        """Hash of the samples of a split in this run, computed like `Dataset.content`."""
        number = {name: i for i, name in enumerate(self.run.classes)}
        with reading(self.run.lake.root):
            samples = self.run.scan("samples").filter(split=split).sort("sample_id").collect()
        label = samples["label"].replace_strict(number, default=-1, return_dtype=pl.Int64)
        names = samples.select(pl.concat_str("sha256", "source_name")).to_series()
        columns = [samples["sample_id"], label, names, samples["split"]]
        return hash_samples(self.run.classes, self.run.groups, [column.to_list() for column in columns])

    def folds(self) -> dict[int, int]:
        """Sample id -> fold, for the training samples scored by a fold model."""
        with reading(self.run.lake.root):
            rows = self.run.scan("predictions").drop_nulls("fold").select("sample_id", "fold").collect()
        return dict(rows.iter_rows())

    def find_training_run(self, record: Record) -> "PreviousRun | None":
        """The oldest remaining run with the model of this training and `retrain = "always"`; None if there is none.

        Only with that setting is it certain that the model was trained on the run's own data and settings.
        """
        for run_id in self._runs_with(record)["run_id"]:
            run = PreviousRun(self.run.lake.run(run_id))
            if run.config["retrain"] == "always":
                return run
        return None

    @cached_property
    def model_age(self) -> dt.timedelta:
        """Time since the model was first published; 0 if the clock went back."""
        first = self._runs_with(self._records["train"])["published_at"].min()
        assert isinstance(first, dt.datetime)
        return max(dt.timedelta(0), dt.datetime.now(dt.UTC) - first)

    def _runs_with(self, record: Record) -> pl.DataFrame:
        """The remaining runs that recorded a stage with this fingerprint, oldest first."""
        has_fingerprint = pl.element().struct.field("fingerprint") == record.fingerprint
        return self._recorded_runs().filter(pl.col("stages").list.eval(has_fingerprint).list.any()).sort("published_at")

    def _recorded_runs(self) -> pl.DataFrame:
        return self.run.lake.runs().drop_nulls("stages")


def find_previous_run(lake: Lake, dataset_id: str) -> PreviousRun | None:
    """The newest published run of the dataset.

    None if there is none, if it has no recorded stages, or if its model is missing from the lake.
    """
    runs = lake.runs().filter(dataset_id=dataset_id)
    if runs.is_empty() or runs["stages"][0] is None:
        return None
    previous = PreviousRun(lake.run(runs["run_id"][0]))
    return None if previous.record("train") and not previous.run.has("models") else previous
