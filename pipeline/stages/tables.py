"""The tables that each stage computes: functions from the inputs of a stage to data frames.

`pipeline.stages.graph` decides when each is called. Tables do not have the id of their run or dataset. `known_tables`
are those of the previous run if it measured under the same settings, code and facts.
"""

from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.clusters import METHODS
from lake.contracts.tables import make_frame
from lake.query import joined_samples
from lake.search.ann_index import SearchIndex
from lake.search.vectors import to_unit
from pipeline.checks import run as method_checks
from pipeline.data.dataset import HELD_OUT, Dataset
from pipeline.engine.previous_run import PreviousRun
from pipeline.engine.progress import Progress
from pipeline.engine.stage_cache import CHECKPOINT, Frames, package_versions
from pipeline.findings import data_faults, describe_clusters, error_causes, label_issues, wording
from pipeline.findings import search as findings
from pipeline.loss_maps import families, hirescam, pooled
from pipeline.measure import (
    aligned_projection,
    ann_index,
    clustering,
    clustering_quality,
    cross_fitting,
    duplicates,
    equal_embeddings,
    image_properties,
    incremental,
    neighbors,
    principal_components,
    projection_quality,
    score,
    separation,
)
from pipeline.model import classifier, distributed, train
from pipeline.model.published_model import StoredModel
from pipeline.settings import Settings
from pipeline.stages.inputs import StageInputs, to_matrix


def property_table(inputs: StageInputs, known_tables: Frames | None) -> Frames:
    """The table `properties`, for all samples of the dataset."""
    dataset = inputs.dataset
    is_current = pl.col("sample_id").is_in(dataset.sample_id.tolist())
    frames = [known_tables["properties"].filter(is_current)] if known_tables else []
    new = np.flatnonzero(~np.isin(dataset.sample_id, frames[0]["sample_id"].to_numpy() if frames else []))
    if len(new):
        new_properties = image_properties.compute_properties(
            dataset.images_NHWC, inputs.settings, inputs.progress, rows=new
        )
        frames.append(new_properties.with_columns(sample_id=pl.Series(dataset.sample_id[new])))
    return {"properties": pl.concat(frames, how="diagonal").sort("sample_id")}


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
        classifier.save_checkpoint(trained.model, folder / CHECKPOINT, facts | versions)
    return {"training": trained.telemetry, "dynamics": trained.dynamics.frame(dataset.sample_id[rows])}


def score_tables(inputs: StageInputs, known_tables: Frames | None) -> Frames:
    """The tables `predictions` and `embeddings`, and headline figures. With folds, everything is scored again."""
    dataset, rows, settings = inputs.dataset, inputs.rows, inputs.settings
    if settings.folds:
        known_tables = None
    known_outputs = (
        known_tables["embeddings"].join(known_tables["predictions"], on="sample_id") if known_tables else None
    )
    fold = np.zeros(len(dataset), dtype=np.int64)
    fold[dataset.rows("train")] = cross_fitting.assign_folds(
        dataset.label[dataset.rows("train")], settings.folds, seed=settings.seed
    )
    measure = partial(score.measure, dataset=dataset, settings=settings, progress=inputs.progress)
    scores, quality = measure(inputs.classifier(), rows=rows, known_outputs=known_outputs), {}
    held_out = dataset.rows(*HELD_OUT)
    for number in range(1, settings.folds + 1):
        own = rows[fold[rows] == number]
        fold_scores = measure(inputs.classifier(number), rows=np.union1d(held_out, own))
        quality[f"fold_{number}_alignment"] = scores.take_over(fold_scores, held_out=held_out, own=own, fold=number)
    headline = score.headline(scores, dataset) | quality
    return {
        "predictions": score.predictions_frame(scores, dataset),
        "embeddings": score.embeddings_frame(scores, dataset),
        "headline": score.headline_frame(headline),
    }


def search_index_table(inputs: StageInputs) -> Frames:
    """The table `search_index`; empty if exact search is fast enough."""
    return ann_index.index_table(inputs.embedding(), inputs.settings, inputs.progress)


def neighbor_table(inputs: StageInputs, known_tables: Frames | None) -> Frames:
    """The table `neighbors`: the nearest among the candidates of the search index, if there is one."""
    embedding, index = inputs.embedding(), inputs.frame("search_index", "search_index")
    proposing = SearchIndex.read(index.sort("part")["data"], embedding.shape) if len(index) else None
    common = (inputs.settings, inputs.progress)
    if known_tables is None:
        result = neighbors.search_neighbors(embedding, inputs.settings.neighbors, *common, index=proposing)
    else:
        table = known_tables["neighbors"]
        result = incremental.extend_neighbors(inputs.sample_id, embedding, table, *common, index=proposing)
    nearest, similarity = result
    return {"neighbors": neighbors.neighbors_frame(inputs.sample_id, nearest, similarity)}


def fit_projection(inputs: StageInputs, earlier: Frames | None) -> Frames:
    """The tables `projection` and `map_quality`, and the principal components; aligned to an earlier projection."""
    embedding, settings, nearest = inputs.embedding(), inputs.settings, inputs.nearest()
    components = principal_components.reduce_dimensions(embedding, settings)
    start = earlier["projection"] if earlier else None
    views = {
        "umap": aligned_projection.project_like(components, inputs.sample_id, settings, start),
        "pca": principal_components.first_two(components),
    }
    return {
        "projection": _projection(inputs.sample_id, views, nearest, embedding),
        "map_quality": projection_quality.measure_projections(embedding, views, nearest, seed=settings.seed),
        "components": pl.DataFrame({"component": score.list_column(components)}),
    }


def extend_projection(inputs: StageInputs, known_tables: Frames) -> Frames:
    """The tables of `fit_projection`, with new samples placed among known ones, which do not move."""
    sample_id, embedding, nearest = inputs.sample_id, inputs.embedding(), inputs.nearest()
    columns = ["x", "y", "pca_x", "pca_y"]
    joined = pl.DataFrame({"sample_id": sample_id}).join(known_tables["projection"], on="sample_id", how="left")
    old = joined["x"].is_not_null().to_numpy()
    position = joined.sort("sample_id").select(columns).to_numpy().astype(np.float32)
    similarity = inputs.frame("neighbors", "neighbors")["similarity"].to_numpy()
    similarity = similarity.reshape(nearest.shape).astype(np.float32)
    views = {"umap": incremental.place(position[:, :2], old, nearest, similarity), "pca": position[:, 2:]}
    incremental.continue_axes(embedding, old, views["pca"])
    components = principal_components.reduce_dimensions(embedding, inputs.settings)
    return {
        "projection": _projection(sample_id, views, nearest, embedding),
        "map_quality": known_tables["map_quality"],
        "components": pl.DataFrame({"component": score.list_column(components)}),
    }


def _projection(
    sample_id: NDArray[np.int64],
    views: dict[str, NDArray[np.float32]],
    nearest: NDArray[np.int64],
    embedding: NDArray[np.float32],
) -> pl.DataFrame:
    (x, y), (pca_x, pca_y) = (view.astype(np.float64).T for view in (views["umap"], views["pca"]))
    share_kept = projection_quality.share_of_neighbors_kept(
        views["umap"], nearest, equal_embeddings.group_equal(embedding)
    )
    columns = {"sample_id": sample_id, "x": x, "y": y, "neighbors_kept": share_kept, "pca_x": pca_x, "pca_y": pca_y}
    return pl.DataFrame(columns)


def separation_table(inputs: StageInputs) -> Frames:
    """The table `separation`."""
    label, groupings = _grouping_codes(inputs.dataset, inputs.rows)
    position = inputs.frame("projection", "projection").select("x", "y").to_numpy().astype(np.float32)
    spaces = {
        "embedding": separation.Space(inputs.embedding(), inputs.nearest()[:, : separation.NEAREST]),
        "umap": separation.Space(position, projection_quality.nearest_in_projection(position)),
    }
    scored = inputs.frame("score", "predictions")
    held_out = scored.filter(pl.col("sample_id").is_in(inputs.sample_id.tolist()))["out_of_sample"].to_numpy()
    return {"separation": separation.measure_separation(spaces, groupings, label, held_out, seed=inputs.settings.seed)}


def _grouping_codes(dataset: Dataset, rows: NDArray[np.int64]) -> tuple[list[str | None], dict[str, NDArray[np.int64]]]:
    """The label of each row, and its group code in every grouping and in the label itself; -1 if withheld."""
    label = [dataset.classes[i] if i >= 0 else None for i in dataset.label[rows]]
    groupings = {**dataset.groups, "label": {name: name for name in dataset.classes}}
    codes = {name: {v: i for i, v in enumerate(sorted(set(values.values())))} for name, values in groupings.items()}
    return label, {
        name: np.array([codes[name].get(values.get(text or "", ""), -1) for text in label])
        for name, values in groupings.items()
    }


def fit_clusters(inputs: StageInputs, _: Frames | None) -> Frames:
    """The table `clusters`, from a new clustering."""
    points = _points(inputs)
    clusterings = clustering.compute_clusterings(points, inputs.settings)
    return {"clusters": clustering.clusters_frame(inputs.sample_id, points, clusterings)}


def extend_clusters(inputs: StageInputs, known_tables: Frames) -> Frames:
    """The table `clusters`, with new samples assigned to known clusters."""
    points = _points(inputs)
    clusterings = incremental.assign(
        points, inputs.sample_id, known_tables["clusters"], inputs.settings, inputs.progress
    )
    return {"clusters": clustering.clusters_frame(inputs.sample_id, points, clusterings)}


def _points(inputs: StageInputs) -> NDArray[np.float32]:
    """The points to cluster [N, P]: principal components scaled to unit length."""
    return to_unit(to_matrix(inputs.frame("projection", "components")["component"]))


def cluster_quality_tables(inputs: StageInputs) -> Frames:
    """The tables of `clustering_quality.assess`."""
    members = inputs.frame("clusters", "clusters")
    cluster_of_method = {m: members.filter(method=m)["cluster"].fill_null(-1).to_numpy() for m in METHODS}
    return clustering_quality.assess(_points(inputs), cluster_of_method, inputs.settings, inputs.progress)


def carried_cluster_quality(previous: PreviousRun) -> Frames:
    """The tables of `cluster_quality_tables`, read from the previous run."""
    tables = previous.tables("cluster_quality", "cluster_summaries")
    stability = tables["cluster_summaries"].select("method", "cluster", "stability").drop_nulls()
    return {"cluster_quality": tables["cluster_quality"], "cluster_stability": stability}


def duplicate_table(inputs: StageInputs, known_tables: Frames | None) -> Frames:
    """The table `duplicates`; pairs among samples that the previous run scored are reused."""
    dataset, rows = inputs.dataset, inputs.rows
    images = dataset.images_NHWC  # a view: avoids a copy if all samples are scored
    if len(rows) < len(dataset):
        images = images[rows]
    ids, split = inputs.sample_id, dataset.split[rows]
    near = inputs.frame("neighbors", "neighbors")
    find = partial(duplicates.find_duplicates, ids, images, split, near, inputs.progress)
    if known_tables is None:
        return {"duplicates": find()}
    pairs = known_tables["duplicates"]
    is_scored = [pl.col(name).is_in(ids.tolist()) for name in ("sample_id", "duplicate_id")]
    orphaned = pairs.filter(is_scored[0] & ~is_scored[1])["sample_id"].to_numpy()
    searched_rows = np.flatnonzero(~np.isin(ids, inputs.known_id) | np.isin(ids, orphaned))
    current = pairs.filter(*is_scored)
    if searched_rows.size:
        current = duplicates.closest(pl.concat([current, find(rows=searched_rows)], how="diagonal"))
    return {"duplicates": current}


def label_issue_table(inputs: StageInputs) -> Frames:
    """The table `label_issues`."""
    near, classes = inputs.frame("neighbors", "neighbors"), inputs.dataset.classes
    evidence = label_issues.gather_evidence(inputs.tables(), near, classes)
    return {"label_issues": label_issues.find_label_issues(evidence, inputs.frame("train", "dynamics"), classes)}


def loss_map_table(inputs: StageInputs, known_tables: Frames | None) -> Frames:
    """The table `loss_maps`. With folds, all maps are computed again."""
    to_explain = hirescam.choose_maps(inputs.dataset, inputs.frame("score", "predictions"))
    models = {fold: inputs.classifier(fold) for fold in to_explain["fold"].unique()}
    maps = known_tables["loss_maps"] if known_tables and not inputs.settings.folds else None
    arguments = (inputs.dataset, to_explain, inputs.settings, inputs.progress)
    return {"loss_maps": hirescam.extend_loss_maps(maps, models, *arguments)}


def map_family_table(inputs: StageInputs) -> Frames:
    """The table `map_families`."""
    return {"map_families": families.find_families(inputs.tables(), seed=inputs.settings.seed)}


def finding_tables(inputs: StageInputs) -> Frames:
    """The tables `triage` (causes of high loss), `cluster_summaries` and `findings` (hard groups)."""
    joined, common = inputs.tables(), (inputs.settings, inputs.progress)
    near = joined.frames["neighbors"]
    joined.frames["triage"] = error_causes.sort_out(joined_samples.scan_samples(joined).collect(), near)
    samples, members = joined_samples.scan_samples(joined).collect(), joined.frames["clusters"]
    density = wording.Density.of(samples, near, training_images=len(inputs.dataset.rows("train")))
    group_findings = findings.find(samples, density, *common, source_columns=tuple(joined.metadata))
    of_data = data_faults.find_in_data(samples, inputs.embedding(), *common)
    summaries = make_frame("cluster_summaries", [])
    if len(members):
        stability = inputs.frame("cluster_quality", "cluster_stability")
        summaries = describe_clusters.summarize(samples, members, stability, *common)
    return {
        "triage": joined.frames["triage"],
        "cluster_summaries": summaries,
        "findings": pl.concat([group_findings, of_data.with_columns(pl.col("finding_id") + len(group_findings))]),
    }


def pooled_map_table(inputs: StageInputs) -> Frames:
    """The table `pooled_maps`."""
    return {"pooled_maps": pooled.pool_maps(inputs.tables(), inputs.settings)}


def check_table(inputs: StageInputs) -> Frames:
    """The table `proofs`."""
    by_main_model = inputs.frame("score", "predictions").filter(pl.col("fold").is_null())
    temperature = float(by_main_model["temperature"][0])
    main = StoredModel(inputs.classifier(), inputs.settings.resolution, temperature)
    images, sample_id = inputs.dataset.images_NHWC, inputs.dataset.sample_id
    proofs = method_checks.check_methods(
        inputs.tables(),
        main,
        inputs.dataset.classes,
        lambda ids: images[np.searchsorted(sample_id, ids)],
        seed=inputs.settings.seed,
        threads=inputs.settings.threads,
        progress=inputs.progress,
    )
    return {"proofs": proofs}
