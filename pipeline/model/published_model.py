"""Models in the lake: the classifiers a run was scored with, to check and explain it wherever the lake is read."""

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from torch import nn

from lake.errors import UserError
from lake.storage.damage import reading
from lake.storage.store import Run
from pipeline.model.classifier import load_checkpoint


@dataclass(frozen=True)
class StoredModel:
    """A model, the side in pixels of its input images, and the temperature that divides its logits."""

    model: nn.Module
    resolution: int
    temperature: float


def models_frame(checkpoints: Iterable[Path], predictions: pl.DataFrame, *, resolution: int) -> pl.DataFrame:
    """The table `models` without the column run_id: the checkpoint of the main model first, then those of the folds."""
    temperatures = dict(predictions.select(pl.col("fold").fill_null(0), "temperature").unique().iter_rows())
    rows = [
        {"fold": fold, "resolution": resolution, "temperature": temperatures[fold], "weights": path.read_bytes()}
        for fold, path in enumerate(checkpoints)
        if fold in temperatures
    ]
    return pl.DataFrame(rows)


def load_model(run: Run, *, fold: int = 0) -> StoredModel:
    """The model of a published run.

    Raises `UserError` if the run has none because it was published by an earlier version, or imported.
    """
    with reading(run.lake.root):
        rows = run.scan("models").filter(pl.col("fold") == fold).collect()
    if rows.is_empty():
        raise UserError(f"The run {run.run_id} has no model in the lake: refresh again to store it.")
    row = rows.row(0, named=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(row["weights"])
        layers = json.loads(run.facts["config"]).get("loss_map_layers", [])
        model, _ = load_checkpoint(path, classes=run.classes, dataset_id=run.dataset_id, layers=layers)
    return StoredModel(model, row["resolution"], row["temperature"])
