"""The stages in order, resumable, into one publish.

`refresh(settings)` returns what it published; a failure or a kill at any moment changes nothing readers see.
"""

import datetime as dt
import importlib.metadata
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from PIL import Image

from lake import queries
from lake.contracts import DATASET_TABLES, TABLES, key_column
from lake.errors import LakeError, RetryLater
from lake.statistics import calibration_error
from lake.store import Lake
from pipeline import (
    cifar10,
    cluster,
    datasets,
    describe,
    explain,
    findings,
    model,
    neighbors,
    project,
    properties,
    score,
    train,
)
from pipeline.datasets import HELD_OUT, Dataset, load_dataset
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.workspace import Finished, Frames, Workspace, hash_facts, measure_cost

PACKAGES = (
    "torch",
    "timm",
    "scikit-learn",
    "hdbscan",
    "umap-learn",
    "grad-cam",
    "polars",
    "deltalake",
    "numpy",
)
TRAIN_SETTINGS = (
    "seed",
    "threads",
    "phases",
    "batch_size",
    "learning_rate",
    "other_rate_scale",
    "weight_decay",
    "label_smoothing",
    "warmup",
)
MAP_SETTINGS = ("seed", "pca_dims", "umap_neighbors", "umap_min_dist")
CLUSTER_SETTINGS = ("seed", "kmeans_clusters", "hdbscan_min_cluster_size")
TEST_SETTINGS = ("seed", "permutations", "false_discovery_rate", "min_group_size")


@dataclass(frozen=True)
class Outcome:
    """The run readers now see, and whether this refresh made it."""

    run_id: str
    published: bool


@dataclass
class Staged:
    """The tables of a run before it is published; `scan` as `lake.store.Run` has it."""

    groups: dict[str, dict[str, str]]
    frames: Frames = field(default_factory=dict)

    def scan(self, name: str) -> pl.LazyFrame:
        return self.frames[name].lazy()


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
        stages = _run_stages(dataset, settings, progress)
        fingerprint = hash_facts([stage.fingerprint for stage in stages.values()])
        same = published.filter(pl.col("fingerprint") == fingerprint)
        if len(same) and not force:
            progress.say(f"Nothing new: data, settings and code are those of {same['run_id'][0]}.")
            return Outcome(same["run_id"][0], published=False)
        run_id = f"{started:%Y%m%d-%H%M%S}-{fingerprint[:6]}"
        _stage_tables(lake, run_id, dataset, stages, {"data": data_cost | {"reused": 0.0}}, progress)
        lake.publish(_run_facts(run_id, started, dataset, settings, fingerprint))
        progress.say(f"Published {run_id}.")
        return Outcome(run_id, published=True)


def _run_stages(dataset: Dataset, settings: Settings, progress: Progress) -> dict[str, Finished]:
    """Every stage in order, by name."""
    work = Workspace(settings.work_dir, settings, progress)
    rows = score.choose_scored(dataset, settings)
    data = (dataset.dataset_id,)
    train_rows = dataset.rows("train")

    measured = work.stage(
        "properties",
        lambda _: {"properties": _measure_properties(dataset, progress)},
        settings=(),
        code=(properties, cifar10, datasets),
        inputs=data,
    )
    trained = work.stage(
        "train",
        lambda folder: _train(folder, dataset, train_rows, settings, progress),
        settings=TRAIN_SETTINGS,
        code=(train, model, cifar10, datasets),
        inputs=data,
    )
    checkpoint = trained.folder / "model.safetensors"
    scored = work.stage(
        "score",
        lambda _: _score(checkpoint, dataset, rows, settings, progress),
        settings=("scored_train",),
        code=(score, model),
        inputs=(trained.fingerprint,),
    )
    embedding = _matrix(scored.frames["embeddings"]["embedding"])
    sample_id = dataset.sample_id[rows]
    near = work.stage(
        "neighbors",
        lambda _: {"neighbors": _neighbors(sample_id, embedding, settings, progress)},
        settings=("neighbors",),
        code=(neighbors,),
        inputs=(scored.fingerprint,),
    )
    mapped = work.stage(
        "project",
        lambda _: _project(sample_id, embedding, near.frames["neighbors"], settings),
        settings=MAP_SETTINGS,
        code=(project,),
        inputs=(near.fingerprint,),
    )
    clustered = work.stage(
        "cluster",
        lambda _: {"clusters": _cluster(sample_id, _matrix(mapped.frames["components"]["component"]), settings)},
        settings=CLUSTER_SETTINGS,
        code=(cluster,),
        inputs=(mapped.fingerprint,),
    )
    explained = work.stage(
        "explain",
        lambda _: {"loss_maps": _explain(checkpoint, dataset, scored.frames["predictions"], settings, progress)},
        settings=(),
        code=(explain, model),
        inputs=(scored.fingerprint,),
    )
    joined = Staged(dataset.groups, {"samples": dataset.to_frame()})
    for stage in (measured, scored, mapped, clustered):
        joined.frames |= stage.frames
    described = work.stage(
        "describe",
        lambda _: _describe(joined, settings, progress),
        settings=TEST_SETTINGS,
        code=(describe, findings, queries),
        inputs=(clustered.fingerprint, measured.fingerprint),
    )
    return {
        "properties": measured,
        "train": trained,
        "score": scored,
        "neighbors": near,
        "project": mapped,
        "cluster": clustered,
        "explain": explained,
        "describe": described,
    }


def _measure_properties(dataset: Dataset, progress: Progress) -> pl.DataFrame:
    measured = properties.compute_properties(dataset.images_NHWC, progress)
    return measured.with_columns(sample_id=pl.Series(dataset.sample_id))


def _train(folder: Path, dataset: Dataset, rows: NDArray[np.int64], settings: Settings, progress: Progress) -> Frames:
    classifier, telemetry = train.train(
        dataset.images_NHWC[rows],
        dataset.label[rows],
        len(dataset.classes),
        settings,
        progress,
        folder / "training.safetensors",
    )
    facts = {
        "classes": dataset.classes,
        "dataset_id": dataset.dataset_id,
        "config": settings.model_dump(mode="json"),
        "packages": _package_versions(),
    }
    model.save_checkpoint(classifier, folder / "model.safetensors", facts)
    return {"training": telemetry}


def _score(
    checkpoint: Path, dataset: Dataset, rows: NDArray[np.int64], settings: Settings, progress: Progress
) -> Frames:
    classifier, _ = model.load_checkpoint(checkpoint, len(dataset.classes))
    embedding, logits = score.score(score.Scorer(classifier), dataset, rows, settings, progress)
    held_out = dataset.split[rows] == "validation"
    temperature = score.fit_temperature(logits[held_out], dataset.label[rows][held_out])
    predictions = score.predictions_frame(logits, dataset, rows, temperature)
    embeddings = pl.DataFrame({"sample_id": dataset.sample_id[rows], "embedding": score.list_column(embedding)})
    return {
        "predictions": predictions,
        "embeddings": embeddings,
        "headline": _headline(predictions, dataset, rows, temperature),
    }


def _headline(predictions: pl.DataFrame, dataset: Dataset, rows: NDArray[np.int64], temperature: float) -> pl.DataFrame:
    """Accuracy, loss and calibration on the test split, as rows of `metrics`."""
    test = predictions.filter(pl.Series(dataset.split[rows] == "test"))
    confidence, correct = test["confidence"].to_numpy(), test["correct"].to_numpy()
    raw = (
        test["logits"].list.eval((pl.element() - pl.element().max()).exp()).list.eval(pl.element() / pl.element().sum())
    )
    values = {
        "test_accuracy": correct.mean(),
        "test_loss": test["loss"].mean(),
        "temperature": temperature,
        "calibration_error": calibration_error(confidence, correct),
        "calibration_error_before": calibration_error(raw.list.max().to_numpy(), correct),
    }
    return pl.DataFrame({"name": list(values), "value": [float(value) for value in values.values()]})


def _neighbors(
    sample_id: NDArray[np.int64], embedding: NDArray[np.float32], settings: Settings, progress: Progress
) -> pl.DataFrame:
    nearest, similarity = neighbors.compute_neighbors(embedding, settings.neighbors, progress)
    return neighbors.neighbors_frame(sample_id, nearest, similarity)


def _project(
    sample_id: NDArray[np.int64], embedding: NDArray[np.float32], near: pl.DataFrame, settings: Settings
) -> Frames:
    components = project.reduce_dimensions(embedding, settings)
    position = project.project(components, settings)
    nearest = np.searchsorted(sample_id, near["neighbor_id"].to_numpy().reshape(len(sample_id), -1))
    columns = {
        "sample_id": sample_id,
        "x": position[:, 0].astype(np.float64),
        "y": position[:, 1].astype(np.float64),
        "neighbors_kept": project.share_of_neighbors_kept(position, nearest),
    }
    return {
        "projection": pl.DataFrame(columns),
        "components": pl.DataFrame({"component": score.list_column(components)}),
    }


def _cluster(sample_id: NDArray[np.int64], components: NDArray[np.float32], settings: Settings) -> pl.DataFrame:
    points = cluster.normalize_rows(components)
    return cluster.clusters_frame(sample_id, points, cluster.compute_clusterings(points, settings))


def _explain(
    checkpoint: Path, dataset: Dataset, predictions: pl.DataFrame, settings: Settings, progress: Progress
) -> pl.DataFrame:
    classifier, _ = model.load_checkpoint(checkpoint, len(dataset.classes))
    rows = dataset.rows(*HELD_OUT)
    predicted = predictions.filter(pl.col("out_of_sample"))["predicted"].to_list()
    fallback = np.array([dataset.classes.index(name) for name in predicted])
    target = np.where(dataset.label[rows] >= 0, dataset.label[rows], fallback)
    return explain.compute_loss_maps(
        explain.Explainer(classifier),
        dataset.sample_id[rows],
        dataset.images_NHWC[rows],
        target,
        dataset.classes,
        settings,
        progress,
    )


def _describe(joined: Staged, settings: Settings, progress: Progress) -> Frames:
    samples = queries.scan_samples(joined).collect()
    return {
        "cluster_summaries": describe.summarize(samples, joined.frames["clusters"], settings, progress),
        "findings": findings.find(samples, settings, progress),
    }


def _stage_tables(
    lake: Lake,
    run_id: str,
    dataset: Dataset,
    stages: dict[str, Finished],
    other_costs: dict[str, dict[str, float]],
    progress: Progress,
) -> None:
    """Write every table under the run's id (or the dataset's), invisible until published."""
    frames = {name: frame for stage in stages.values() for name, frame in stage.frames.items() if name in TABLES}
    with measure_cost() as cost, progress.task("write", len(frames) + 2) as task:
        if not lake.has("images", dataset.dataset_id):
            lake.stage("images", _images_frame(dataset))
        task.advance()
        lake.stage("samples", dataset.to_frame())
        task.advance()
        for name, frame in frames.items():
            key = dataset.dataset_id if name in DATASET_TABLES else run_id
            lake.stage(name, frame.with_columns(pl.lit(key).alias(key_column(name))), key=key)
            task.advance()
    costs = {**other_costs, **{name: stage.cost for name, stage in stages.items()}}
    costs["write"] = cost | {"reused": 0.0}
    lake.stage("metrics", _metrics_frame(run_id, costs, stages["score"].frames["headline"]))


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
        "packages": json.dumps(_package_versions()),
        "config": settings.model_dump_json(),
    }


def _package_versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def _matrix(column: pl.Series) -> NDArray[np.float32]:
    """A column of equally long lists as a matrix [N, D]."""
    return column.explode().to_numpy(writable=True).reshape(len(column), -1)


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
