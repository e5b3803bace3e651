"""The stages in order, resumable, into one publish.

`refresh(settings)` returns what it published; a failure or a kill at any moment changes nothing readers see.
"""

import datetime as dt
import importlib.metadata
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from PIL import Image

from lake.contracts import DATASET_TABLES, TABLES, key_column
from lake.errors import LakeError, RetryLater
from lake.store import Lake
from pipeline.budget import fit_schedule
from pipeline.datasets import Dataset, load_dataset
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.stage_tables import CHECKPOINT
from pipeline.stages import Stages
from pipeline.stored_model import models_frame
from pipeline.train import training_set
from pipeline.workspace import Finished, hash_facts, measure_cost, package_versions


@dataclass(frozen=True)
class Outcome:
    """The run readers now see, and whether this refresh made it."""

    run_id: str
    published: bool


def refresh(settings: Settings, progress: Progress, *, force: bool = False, dataset: Dataset | None = None) -> Outcome:
    """Compute what is missing and publish it; nothing new (same data, settings and code) publishes nothing.

    `dataset` stands in for the one the settings name.

    Raises `UserError` with what to do; `RetryLater` while another refresh of this lake is running.
    """
    lake = Lake(settings.lake)
    with _only_one(lake):
        published = lake.runs()
        started = dt.datetime.now(dt.UTC)
        with measure_cost() as data_cost:
            dataset = dataset or load_dataset(settings, progress)
        settings = fit_schedule(settings, training_set(dataset, dataset.rows("train")), progress)
        stages = Stages(dataset, settings, progress).run()
        fingerprint = hash_facts([stage.fingerprint for stage in stages.values()])
        same = published.filter(pl.col("fingerprint") == fingerprint)
        if len(same) and not force:
            progress.say(f"Nothing new: data, settings and code are those of {same['run_id'][0]}.")
            return Outcome(same["run_id"][0], published=False)
        run_id = f"{started:%Y%m%d-%H%M%S}-{fingerprint[:6]}"
        _stage_tables(lake, run_id, dataset, stages, settings, {"data": data_cost | {"reused": 0.0}}, progress)
        lake.publish(_run_facts(run_id, started, dataset, settings, fingerprint))
        progress.say(f"Published {run_id}.")
        return Outcome(run_id, published=True)


def help_refresh(settings: Settings, progress: Progress, *, dataset: Dataset | None = None) -> None:
    """What a process of `torchrun` other than the first does: its part of each training of `refresh`."""
    Stages(dataset or load_dataset(settings, progress), settings, progress).help_training()


def _stage_tables(
    lake: Lake,
    run_id: str,
    dataset: Dataset,
    stages: dict[str, Finished],
    settings: Settings,
    other_costs: dict[str, dict[str, float]],
    progress: Progress,
) -> None:
    """Write every table under the run's id (or the dataset's), invisible until published."""
    published = [stage for name, stage in stages.items() if not name.startswith("fold-")]
    frames = {name: frame for stage in published for name, frame in stage.frames.items() if name in TABLES}
    with measure_cost() as cost, progress.task("write", len(frames) + 3) as task:
        if not lake.has("images", dataset.dataset_id):
            lake.stage("images", _images_frame(dataset))
        task.advance()
        lake.stage("samples", dataset.to_frame())
        task.advance()
        lake.stage("models", _models_frame(stages, settings).with_columns(run_id=pl.lit(run_id)))
        task.advance()
        for name, frame in frames.items():
            key = dataset.dataset_id if name in DATASET_TABLES else run_id
            lake.stage(name, frame.with_columns(pl.lit(key).alias(key_column(name))), key=key)
            task.advance()
    costs = {**other_costs, **{name: stage.cost for name, stage in stages.items()}}
    costs["write"] = cost | {"reused": 0.0}
    lake.stage("metrics", _metrics_frame(run_id, costs, stages["score"].frames["headline"]))


def _models_frame(stages: dict[str, Finished], settings: Settings) -> pl.DataFrame:
    trained = [stages["train"], *(stage for name, stage in stages.items() if name.startswith("fold-"))]
    checkpoints = [stage.folder / CHECKPOINT for stage in trained]
    return models_frame(checkpoints, stages["score"].frames["predictions"], resolution=settings.resolution)


def _images_frame(dataset: Dataset) -> pl.DataFrame:
    height, width = dataset.images_NHWC.shape[1:3]
    return pl.DataFrame(
        {
            "dataset_id": dataset.dataset_id,
            "sample_id": dataset.sample_id,
            "png": [_encode_png(image) for image in dataset.images_NHWC],
            "width": width,
            "height": height,
        }
    )


def _encode_png(image_HWC: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image_HWC).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _metrics_frame(run_id: str, costs: dict[str, dict[str, float]], headline: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {"stage": stage, "name": name, "value": float(value)}
        for order, (stage, cost) in enumerate(costs.items())
        for name, value in {**cost, "order": order}.items()
    ]
    measured = headline.select(pl.lit("score").alias("stage"), "name", "value")
    return pl.concat([pl.DataFrame(rows), measured]).with_columns(run_id=pl.lit(run_id))


def _run_facts(
    run_id: str, started: dt.datetime, dataset: Dataset, settings: Settings, fingerprint: str
) -> dict[str, object]:
    groups = [
        {"name": group, "label": label, "value": value}
        for group, values in dataset.groups.items()
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
        "fingerprint": fingerprint,
        "code_version": importlib.metadata.version("latentlake"),
        "packages": json.dumps(package_versions()),
        "config": settings.model_dump_json(),
    }


@contextmanager
def _only_one(lake: Lake) -> Iterator[None]:
    """Hold the lake's refresh lock; a lock whose process died is free again."""
    if "://" in lake.root:
        yield
        return
    path = Path(lake.root) / "refresh.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=0)
        lock.acquire()
    except Timeout:
        raise RetryLater(f"Another refresh of {lake.root} is running: try again when it has finished.") from None
    except OSError as error:
        raise LakeError(
            f"The lake {lake.root} cannot be written ({error.strerror or error}): fix its permissions or name "
            "another folder with --lake."
        ) from None
    try:
        yield
    finally:
        lock.release()
