"""What stages compute, as tables: a dataset and arrays in, frames out; `pipeline.stages` knows when."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline import cluster, distributed, fidelity, model, neighbors, project, properties, score, train
from pipeline.datasets import Dataset
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.workspace import Finished, Frames, package_versions

CHECKPOINT = "model.safetensors"


@dataclass
class Staged:
    """The tables of a run before it is published; `scan` as `lake.store.Run` has it."""

    groups: dict[str, dict[str, str]]
    frames: Frames = field(default_factory=dict)

    def scan(self, name: str) -> pl.LazyFrame:
        return self.frames[name].lazy()


def property_table(dataset: Dataset, progress: Progress) -> pl.DataFrame:
    """The table `properties` but for its dataset_id."""
    measured = properties.compute_properties(dataset.images_NHWC, progress)
    return measured.with_columns(sample_id=pl.Series(dataset.sample_id))


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


def neighbor_table(
    sample_id: NDArray[np.int64], embedding: NDArray[np.float32], settings: Settings, progress: Progress
) -> Frames:
    """The table `neighbors` but for its run_id."""
    nearest, similarity = neighbors.compute_neighbors(embedding, settings.neighbors, progress)
    return {"neighbors": neighbors.neighbors_frame(sample_id, nearest, similarity)}


def map_tables(
    sample_id: NDArray[np.int64], embedding: NDArray[np.float32], near: Finished, settings: Settings
) -> Frames:
    """The tables `projection` and `map_quality`, and the principal components they and the clusters rest on."""
    components = project.reduce_dimensions(embedding, settings)
    position = project.project(components, settings)
    nearest = rows_of_neighbors(sample_id, near)
    views = {"umap": position, "pca": project.first_two(components)}
    columns = {
        "sample_id": sample_id,
        "x": position[:, 0].astype(np.float64),
        "y": position[:, 1].astype(np.float64),
        "neighbors_kept": fidelity.share_of_neighbors_kept(position, nearest),
        "pca_x": views["pca"][:, 0].astype(np.float64),
        "pca_y": views["pca"][:, 1].astype(np.float64),
    }
    return {
        "projection": pl.DataFrame(columns),
        "map_quality": fidelity.measure_maps(embedding, views, nearest, seed=settings.seed),
        "components": pl.DataFrame({"component": score.list_column(components)}),
    }


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


def cluster_table(sample_id: NDArray[np.int64], components: pl.DataFrame, settings: Settings) -> Frames:
    """The table `clusters` but for its run_id."""
    points = cluster.normalize_rows(to_matrix(components["component"]))
    return {"clusters": cluster.clusters_frame(sample_id, points, cluster.compute_clusterings(points, settings))}


def to_matrix(column: pl.Series) -> NDArray[np.float32]:
    """A column of equally long lists as a matrix [N, D]."""
    return column.explode().to_numpy(writable=True).reshape(len(column), -1)
