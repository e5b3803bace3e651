"""What stages compute, as tables: a dataset and arrays in, frames out; `pipeline.stages` knows when."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import nn

from lake import queries
from lake.cluster_contracts import METHODS
from lake.contracts import make_frame
from lake.search_index import SearchIndex
from pipeline import (
    cluster,
    cluster_quality,
    data_findings,
    describe,
    distributed,
    duplicates,
    fidelity,
    findings,
    increments,
    model,
    neighbors,
    project,
    properties,
    score,
    separation,
    stable_map,
    statements,
    train,
    triage,
)
from pipeline.before import Before
from pipeline.datasets import HELD_OUT, Dataset
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.workspace import CHECKPOINT, Finished, Frames, package_versions


@dataclass
class Staged:
    """The tables of a run before it is published; `scan` as `lake.store.Run` has it."""

    groups: dict[str, dict[str, str]]
    frames: Frames = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)

    def scan(self, name: str) -> pl.LazyFrame:
        return self.frames[name].lazy()


def property_table(dataset: Dataset, settings: Settings, progress: Progress, known: Frames | None) -> pl.DataFrame:
    """The table `properties` but for its dataset_id; samples that are known are taken over."""
    there = pl.col("sample_id").is_in(dataset.sample_id.tolist())
    parts = [known["properties"].filter(there)] if known else []
    new = np.flatnonzero(~np.isin(dataset.sample_id, parts[0]["sample_id"].to_numpy() if parts else []))
    if len(new):
        measured = properties.compute_properties(dataset.images_NHWC, settings, progress, rows=new)
        parts.append(measured.with_columns(sample_id=pl.Series(dataset.sample_id[new])))
    return pl.concat(parts, how="diagonal").sort("sample_id")


def train_model(
    folder: Path, dataset: Dataset, rows: NDArray[np.int64], settings: Settings, progress: Progress
) -> Frames:
    """The tables `training` and `dynamics`; the checkpoint is left in the folder."""
    data = train.training_set(dataset, rows)
    versions = {"packages": package_versions()}
    trained = train.train(data, settings, progress, snapshot=folder / "training.safetensors", facts=versions)
    if distributed.this_rank() == 0:
        facts = {
            "classes": dataset.classes,
            "dataset_id": dataset.dataset_id,
            "config": settings.model_dump(mode="json"),
        }
        model.save_checkpoint(trained.model, folder / CHECKPOINT, facts | versions)
    return {"training": trained.telemetry, "dynamics": trained.dynamics.frame(dataset.sample_id[rows])}


def score_tables(
    dataset: Dataset,
    rows: NDArray[np.int64],
    fold_of_train: NDArray[np.int64],
    classifiers: list[nn.Module],
    settings: Settings,
    progress: Progress,
    known: Frames | None,
) -> Frames:
    """The tables `predictions` and `embeddings` and headline figures; classifiers are the main one, then the folds'."""
    before = known["embeddings"].join(known["predictions"], on="sample_id") if known else None
    fold = np.zeros(len(dataset), dtype=np.int64)
    fold[dataset.rows("train")] = fold_of_train
    measure = partial(score.measure, dataset=dataset, settings=settings, progress=progress)
    scores, quality = measure(classifiers[0], rows=rows, known=before), {}
    held_out = dataset.rows(*HELD_OUT)
    for number, classifier in enumerate(classifiers[1:], start=1):
        own = rows[fold[rows] == number]
        other = measure(classifier, rows=np.union1d(held_out, own))
        quality[f"fold_{number}_alignment"] = scores.take_over(other, held_out=held_out, own=own, fold=number)
    headline = score.headline(scores, dataset) | quality
    return {
        "predictions": score.predictions_frame(scores, dataset),
        "embeddings": score.embeddings_frame(scores, dataset),
        "headline": score.headline_frame(headline),
    }


def neighbor_table(
    sample_id: NDArray[np.int64],
    embedding: NDArray[np.float32],
    index: pl.DataFrame,
    settings: Settings,
    progress: Progress,
    known: Frames | None,
) -> pl.DataFrame:
    """The table `neighbors` but for its run_id; the nearest of those that the table `search_index` proposes, if any."""
    proposing = SearchIndex.read(index.sort("part")["data"], embedding.shape) if len(index) else None
    given = (settings, progress)
    if known is None:
        found = neighbors.search_neighbors(embedding, settings.neighbors, *given, index=proposing)
    else:
        found = increments.extend_neighbors(sample_id, embedding, known["neighbors"], *given, index=proposing)
    nearest, similarity = found
    return neighbors.neighbors_frame(sample_id, nearest, similarity)


def fit_map(
    sample_id: NDArray[np.int64],
    embedding: NDArray[np.float32],
    near: Finished,
    settings: Settings,
    earlier: Frames | None,
) -> Frames:
    """The tables `projection` and `map_quality` and the principal components, the map aligned to an earlier one."""
    components = project.reduce_dimensions(embedding, settings)
    nearest = rows_of_neighbors(sample_id, near)
    views = {
        "umap": stable_map.project_like(components, sample_id, settings, earlier["projection"] if earlier else None),
        "pca": project.first_two(components),
    }
    return {
        "projection": _projection(sample_id, views, nearest),
        "map_quality": fidelity.measure_maps(embedding, views, nearest, seed=settings.seed),
        "components": pl.DataFrame({"component": score.list_column(components)}),
    }


def extend_map(
    sample_id: NDArray[np.int64], embedding: NDArray[np.float32], near: Finished, settings: Settings, known: Frames
) -> Frames:
    """The same with new samples placed among known ones, which stay where they are."""
    columns = ["x", "y", "pca_x", "pca_y"]
    here = pl.DataFrame({"sample_id": sample_id}).join(known["projection"], on="sample_id", how="left")
    old = here["x"].is_not_null().to_numpy()
    position = here.sort("sample_id").select(columns).to_numpy().astype(np.float32)
    nearest = rows_of_neighbors(sample_id, near)
    similarity = near.frames["neighbors"]["similarity"].to_numpy().reshape(nearest.shape).astype(np.float32)
    views = {"umap": increments.place(position[:, :2], old, nearest, similarity), "pca": position[:, 2:]}
    increments.continue_axes(embedding, old, views["pca"])
    components = project.reduce_dimensions(embedding, settings)
    return {
        "projection": _projection(sample_id, views, nearest),
        "map_quality": known["map_quality"],
        "components": pl.DataFrame({"component": score.list_column(components)}),
    }


def _projection(
    sample_id: NDArray[np.int64], views: dict[str, NDArray[np.float32]], nearest: NDArray[np.int64]
) -> pl.DataFrame:
    (x, y), (pca_x, pca_y) = (view.astype(np.float64).T for view in (views["umap"], views["pca"]))
    kept = fidelity.share_of_neighbors_kept(views["umap"], nearest)
    columns = {"sample_id": sample_id, "x": x, "y": y, "neighbors_kept": kept, "pca_x": pca_x, "pca_y": pca_y}
    return pl.DataFrame(columns)


def rows_of_neighbors(sample_id: NDArray[np.int64], near: Finished) -> NDArray[np.int64]:
    """The row of each neighbour [N, R], most similar first."""
    return np.searchsorted(sample_id, near.frames["neighbors"]["neighbor_id"].to_numpy().reshape(len(sample_id), -1))


def group_codes(dataset: Dataset, rows: NDArray[np.int64]) -> tuple[list[str | None], dict[str, NDArray[np.int64]]]:
    """The label of each row, and its group by every grouping and by the label itself; -1 where it is withheld."""
    label = [dataset.classes[i] if i >= 0 else None for i in dataset.label[rows]]
    named = {**dataset.groups, "label": {name: name for name in dataset.classes}}
    codes = {name: {v: i for i, v in enumerate(sorted(set(values.values())))} for name, values in named.items()}
    return label, {
        name: np.array([codes[name].get(values.get(text or "", ""), -1) for text in label])
        for name, values in named.items()
    }


def cluster_table(
    sample_id: NDArray[np.int64],
    projected: Finished,
    settings: Settings,
    progress: Progress,
    known: pl.DataFrame | None,
) -> pl.DataFrame:
    """The table `clusters` but for its run_id, found anew, or new samples assigned to known clusters."""
    points = cluster.normalize_rows(to_matrix(projected.frames["components"]["component"]))
    if known is None:
        found = cluster.compute_clusterings(points, settings)
    else:
        found = increments.assign(points, sample_id, known, settings, progress)
    return cluster.clusters_frame(sample_id, points, found)


def carried_quality(before: Before) -> Frames:
    """The tables of `pipeline.cluster_quality.assess`, as the run before has them."""
    tables = before.tables("cluster_quality", "cluster_summaries")
    stability = tables["cluster_summaries"].select("method", "cluster", "stability").drop_nulls()
    return {"cluster_quality": tables["cluster_quality"], "cluster_stability": stability}


def copy_table(
    dataset: Dataset,
    rows: NDArray[np.int64],
    near: Finished,
    progress: Progress,
    examined: NDArray[np.int64],
    known: Frames | None,
) -> pl.DataFrame:
    """The table `duplicates` but for its run_id; of samples that were `examined` before the copies are `known`."""
    images = dataset.images_NHWC  # those of all samples are not copied
    if len(rows) < len(dataset):
        images = images[rows]
    ids, split = dataset.sample_id[rows], dataset.split[rows]
    find = partial(duplicates.find_duplicates, ids, images, split, near.frames["neighbors"], progress)
    if known is None:
        return find()
    pairs = known["duplicates"]
    there = [pl.col(name).is_in(ids.tolist()) for name in ("sample_id", "duplicate_id")]
    lost = pairs.filter(there[0] & ~there[1])["sample_id"].to_numpy()
    asked = np.flatnonzero(~np.isin(ids, examined) | np.isin(ids, lost))
    kept = pairs.filter(*there)
    if asked.size == 0:
        return kept
    return duplicates.closest(pl.concat([kept, find(rows=asked)], how="diagonal"))


def separation_table(
    dataset: Dataset,
    rows: NDArray[np.int64],
    scored: Finished,
    near: Finished,
    projected: Finished,
    *,
    seed: int,
) -> Frames:
    """The table `separation` but for its run_id."""
    embedding = to_matrix(scored.frames["embeddings"]["embedding"])
    label, groupings = group_codes(dataset, rows)
    nearest = rows_of_neighbors(dataset.sample_id[rows], near)
    position = projected.frames["projection"].select("x", "y").to_numpy().astype(np.float32)
    spaces = {
        "embedding": separation.Space(embedding, nearest[:, : separation.NEAREST]),
        "umap": separation.Space(position, fidelity.nearest_on_map(position)),
    }
    held_out = scored.frames["predictions"]["out_of_sample"].to_numpy()
    return {"separation": separation.measure_separation(spaces, groupings, label, held_out, seed=seed)}


def quality_tables(clustered: Finished, projected: Finished, settings: Settings, progress: Progress) -> Frames:
    """The tables of `cluster_quality.assess`."""
    members = clustered.frames["clusters"]
    found = {m: members.filter(method=m)["cluster"].fill_null(-1).to_numpy() for m in METHODS}
    points = cluster.normalize_rows(to_matrix(projected.frames["components"]["component"]))
    return cluster_quality.assess(points, found, settings, progress)


def description_tables(
    joined: Staged,
    embedding: NDArray[np.float32],
    assessed: Finished,
    settings: Settings,
    progress: Progress,
    *,
    training_images: int,
) -> Frames:
    """Why losses are high, what the clusters are, and which groups are hard."""
    near = joined.frames["neighbors"]
    joined.frames["triage"] = triage.sort_out(queries.scan_samples(joined).collect(), near)
    samples, members = queries.scan_samples(joined).collect(), joined.frames["clusters"]
    density = statements.Density.of(samples, near, training_images=training_images)
    common = (settings, progress)
    found = findings.find(samples, density, *common, carried=tuple(joined.metadata))
    of_data = data_findings.find_in_data(samples, embedding, *common)
    summaries = make_frame("cluster_summaries", [])
    if len(members):
        summaries = describe.summarize(samples, members, assessed.frames["cluster_stability"], *common)
    return {
        "triage": joined.frames["triage"],
        "cluster_summaries": summaries,
        "findings": pl.concat([found, of_data.with_columns(pl.col("finding_id") + len(found))]),
    }


def to_matrix(column: pl.Series, *, rows: int | None = None) -> NDArray[np.float32]:
    """A column of equally long lists as a matrix [N, D]; of no lists one of so many rows without columns."""
    if column.is_empty():
        return np.empty((rows or 0, 0), np.float32)
    return column.explode().to_numpy(writable=True).reshape(len(column), -1)
