"""Write the results of the stages to the lake, invisible until the run is published."""

import datetime as dt
import importlib.metadata
import json

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.stages import STAGES
from lake.contracts.tables import DATASET_TABLES, TABLES, key_column, make_frame
from lake.errors import UserError
from lake.pictures import encode_png
from lake.storage.store import Lake
from pipeline.data.dataset import Dataset
from pipeline.engine.progress import Progress
from pipeline.engine.stage_cache import CHECKPOINT, Finished, measure_cost, package_versions
from pipeline.model.published_model import models_frame
from pipeline.settings import Settings

Figures = dict[str, float]


def stage_tables(
    lake: Lake, run_id: str, dataset: Dataset, stages: dict[str, Finished], settings: Settings, progress: Progress
) -> Figures:
    """Write every table except `metrics` under the id of the run (or of the dataset); returns the cost of writing."""
    with measure_cost() as cost:
        tables = _tables(dataset, stages, settings)
        with progress.task("write", 1 + len(tables)) as task:
            _write_images(lake, dataset)
            task.advance()
            for name, frame in tables.items():
                key = dataset.dataset_id if name in DATASET_TABLES else run_id
                lake.stage(name, frame.with_columns(pl.lit(key).alias(key_column(name))), key=key)
                task.advance()
    return cost


def stage_metrics(lake: Lake, run_id: str, costs: dict[str, Figures], figures: dict[str, Figures]) -> None:
    """Write the table `metrics`: the cost of each step, in execution order, and figures by topic."""
    ordered = {stage: cost | {"order": order} for order, (stage, cost) in enumerate(costs.items())}
    rows = [
        {"run_id": run_id, "stage": stage, "name": name, "value": float(value)}
        for numbers in (ordered, figures)
        for stage, values in numbers.items()
        for name, value in values.items()
    ]
    lake.stage("metrics", pl.DataFrame(rows))


def _tables(dataset: Dataset, stages: dict[str, Finished], settings: Settings) -> dict[str, pl.DataFrame]:
    """The tables to write besides images, by name, without the id of the run."""
    published = [stage for name, stage in stages.items() if not name.startswith("fold-")]
    tables = {"samples": dataset.frame, "quarantine": dataset.quarantine}
    tables |= {table: make_frame(table, []) for stage in STAGES for table in stage.tables}
    tables |= {name: frame for stage in published for name, frame in stage.frames.items() if name in TABLES}
    if "train" in stages:
        tables["models"] = _models_frame(stages, settings)
    # A kept model may have been trained on samples that are gone.
    tables["dynamics"] = tables["dynamics"].filter(pl.col("sample_id").is_in(dataset.sample_id.tolist()))
    return tables


def _models_frame(stages: dict[str, Finished], settings: Settings) -> pl.DataFrame:
    trained = [stages["train"], *(stage for name, stage in stages.items() if name.startswith("fold-"))]
    checkpoints = [stage.folder / CHECKPOINT for stage in trained]
    return models_frame(checkpoints, stages["score"].frames["predictions"], resolution=settings.resolution)


def _write_images(lake: Lake, dataset: Dataset) -> None:
    """Add images missing from the table `images`; existing ones never change."""
    if not lake.has("images", dataset.dataset_id):
        lake.stage("images", _images_frame(dataset, np.full(len(dataset), dataset.pictured)), key=dataset.dataset_id)
        return
    if not dataset.pictured:
        raise UserError(
            f"The dataset {dataset.name} had images in earlier runs, but its source no longer has any: "
            "restore them, or give the dataset another name."
        )
    stored_id = lake.staged("images", dataset.dataset_id).select("sample_id").collect().to_series()
    lake.add_rows("images", _images_frame(dataset, ~np.isin(dataset.sample_id, stored_id.to_numpy())))


def _images_frame(dataset: Dataset, chosen_N: NDArray[np.bool_]) -> pl.DataFrame:
    """The chosen images as the table `images`."""
    height, width = dataset.images_NHWC.shape[1:3]
    sample_id = dataset.sample_id[chosen_N]
    originals = [dataset.originals.get(number) for number in sample_id.tolist()]
    return pl.DataFrame(
        {
            "dataset_id": dataset.dataset_id,
            "sample_id": sample_id,
            "png": pl.Series([encode_png(image) for image in dataset.images_NHWC[chosen_N]], dtype=pl.Binary),
            "width": width,
            "height": height,
            "original": pl.Series([original.picture if original else None for original in originals], dtype=pl.Binary),
            "original_width": pl.Series(
                [original.width if original else None for original in originals], dtype=pl.Int64
            ),
            "original_height": pl.Series(
                [original.height if original else None for original in originals], dtype=pl.Int64
            ),
        }
    )


def run_facts(
    run_id: str, started: dt.datetime, dataset: Dataset, settings: Settings, fingerprint: str
) -> dict[str, object]:
    """The facts of the run that `Lake.publish` needs."""
    groups = [
        {"name": grouping, "label": label, "value": value}
        for grouping, values in dataset.groups.items()
        for label, value in values.items()
    ]
    return {
        "run_id": run_id,
        "started_at": started,
        "preset": settings.preset,
        "dataset_id": dataset.dataset_id,
        "dataset_name": dataset.name,
        "classes": dataset.classes,
        "groups": groups,
        "metadata": [{"name": name, "kind": kind} for name, kind in dataset.metadata_kinds.items()] or None,
        "fingerprint": fingerprint,
        "code_version": importlib.metadata.version("latentlake"),
        "packages": json.dumps(package_versions()),
        "config": settings.model_dump_json(),
        "understood": dataset.understood or None,
        "assumed": dataset.assumed or None,
    }
