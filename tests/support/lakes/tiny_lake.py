"""A small published run for tests, made without torch: four classes, cats taken for dogs.

`build_tiny_lake(root)` returns a lake with it, `publish_tiny_run(root)` publishes it there, and `tiny_tables(...)` are
its tables before anything is written. Shapes: N samples, K classes, D features.
"""

import datetime as dt
import hashlib
import json
import shutil
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.tables import DATASET_TABLES, TABLES
from lake.storage.store import Lake
from tests.support.lakes import run_tables, tiny_maps
from tests.support.lakes.tiny_data import (
    CLASSES,
    DOG,
    GROUPS,
    Drawn,
    dataset_id_of,
    draw,
    images_frame,
    lists,
    properties_frame,
    samples_frame,
)

RUN_ID = "20260101-000000-aaaaaa"
EMPTY = {"models", "search_index", "quarantine"}
"""Tables without rows: nothing was trained, exact search is fast enough, and every image was usable."""


def build_tiny_lake(root: str | Path, *, run_id: str = RUN_ID, samples: int = 240, seed: int = 0) -> Lake:
    """The lake at `root` with one more published run; equal seeds give equal datasets and numbers.

    Needs at least 40 samples, so that every class and confusion exists. A new lake is copied from one published before
    in this process.
    """
    if "://" in str(root) or (Path(root).exists() and any(Path(root).iterdir())):
        return publish_tiny_run(root, run_id=run_id, samples=samples, seed=seed)
    shutil.copytree(_published(run_id, samples, seed).name, root, dirs_exist_ok=True)
    return Lake(root)


@cache
def _published(run_id: str, samples: int, seed: int) -> TemporaryDirectory[str]:
    """A temporary folder with a lake of that run, kept until this process ends."""
    folder = TemporaryDirectory()
    with ExitStack() as failed:
        failed.callback(folder.cleanup)
        publish_tiny_run(folder.name, run_id=run_id, samples=samples, seed=seed)
        failed.pop_all()
    return folder


def publish_tiny_run(root: str | Path, *, run_id: str = RUN_ID, samples: int = 240, seed: int = 0) -> Lake:
    """Like `build_tiny_lake`, but always written and published there."""
    lake = Lake(root)
    stage_all(lake, tiny_tables(run_id=run_id, samples=samples, seed=seed))
    lake.publish(run_facts(run_id=run_id, dataset_id=dataset_id_of(samples, seed), samples=samples, seed=seed))
    return lake


def stage_all(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    """Stage every table in order; there is no model, as nothing was trained."""
    for name, frame in tables.items():
        table, column = ("samples", "dataset_id") if name in DATASET_TABLES else ("predictions", "run_id")
        lake.stage(name, frame, key=None if len(frame) else tables[table][column][0])


def run_facts(
    *, run_id: str = RUN_ID, dataset_id: str = "tiny-240-0", samples: int = 240, seed: int = 0
) -> dict[str, Any]:
    """The facts of the run that `Lake.publish` needs."""
    groups = [{"name": g, "label": k, "value": v} for g, values in GROUPS.items() for k, v in values.items()]
    return {
        "run_id": run_id,
        "started_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "preset": "smoke",
        "dataset_id": dataset_id,
        "dataset_name": "Tiny drawings",
        "classes": CLASSES,
        "groups": groups,
        "fingerprint": hashlib.sha256(run_id.encode()).hexdigest()[:12],
        "code_version": "0.1.0",
        "packages": json.dumps({"polars": pl.__version__}),
        "config": json.dumps({"preset": "smoke", "samples": samples, "seed": seed}),
    }


def tiny_tables(*, run_id: str = RUN_ID, samples: int = 240, seed: int = 0) -> dict[str, pl.DataFrame]:
    """Every table of the run except `runs`, by name, in staging order."""
    return dict(_drawn_tables(run_id, samples, seed))


@cache
def _drawn_tables(run_id: str, samples: int, seed: int) -> dict[str, pl.DataFrame]:
    drawn = draw(run_id=run_id, samples=samples, seed=seed)
    known, predictions, clusters = (
        samples_frame(drawn),
        run_tables.predictions(drawn.sample_id, drawn.logits, drawn.truth, drawn.split, CLASSES),
        _clusters(drawn),
    )
    rows = predictions.join(known.select("sample_id", "split", "label"), on="sample_id")
    maps = tiny_maps.loss_maps(rows)
    tables = {
        "samples": known,
        "images": images_frame(drawn),
        "properties": properties_frame(drawn),
        "predictions": predictions,
        "embeddings": pl.DataFrame({"sample_id": drawn.sample_id, "embedding": lists(drawn.embedding)}),
        "projection": _projection(drawn),
        "map_quality": run_tables.map_quality(),
        "separation": run_tables.separation(CLASSES),
        "clusters": clusters,
        "cluster_quality": run_tables.cluster_quality(clusters),
        "cluster_summaries": run_tables.cluster_summaries(rows, clusters),
        "neighbors": _neighbors(drawn),
        "loss_maps": maps,
        "map_families": tiny_maps.map_families(rows, maps),
        "pooled_maps": tiny_maps.pooled_maps(rows, maps),
        "triage": run_tables.triage(rows),
        "duplicates": _duplicates(drawn),
        "label_issues": tiny_maps.label_issues(rows),
        "findings": run_tables.findings(rows),
        "training": run_tables.training(),
        "dynamics": _dynamics(drawn),
        **{name: TABLES[name].create_empty() for name in sorted(EMPTY)},
        "proofs": tiny_maps.proofs(),
        "metrics": run_tables.metrics(rows),
    }
    keys = {n: ("dataset_id", drawn.dataset_id) if n in DATASET_TABLES else ("run_id", run_id) for n in tables}
    return {n: frame.with_columns(pl.lit(keys[n][1]).alias(keys[n][0])) for n, frame in tables.items()}


def _projection(drawn: Drawn) -> pl.DataFrame:
    """The features that separate classes: x by superclass, y by class within it."""
    x, y = drawn.embedding[:, 0], drawn.embedding[:, 1] + drawn.embedding[:, 2]
    nearest = min(15, len(x) - 1)
    before = _nearest(_cosine(drawn.embedding), nearest)
    after = _nearest(-np.hypot(x[:, None] - x, y[:, None] - y), nearest)
    kept = [np.isin(a, b).mean() for a, b in zip(before, after, strict=True)]
    components = {"pca_x": drawn.embedding[:, 0], "pca_y": drawn.embedding[:, 1]}
    return pl.DataFrame({"sample_id": drawn.sample_id, "x": x, "y": y, "neighbors_kept": kept, **components})


def _cosine(embedding_ND: NDArray[np.float64]) -> NDArray[np.float64]:
    unit_ND = embedding_ND / np.linalg.norm(embedding_ND, axis=1, keepdims=True)
    return unit_ND @ unit_ND.T


def _nearest(closeness_NN: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Row indices of the `count` closest other rows, closest first."""
    others = closeness_NN.copy()
    np.fill_diagonal(others, -np.inf)
    return np.argsort(-others, axis=1, kind="stable")[:, :count]


def _neighbors(drawn: Drawn) -> pl.DataFrame:
    cosine = _cosine(drawn.embedding)
    nearest = _nearest(cosine, min(20, len(cosine) - 1))
    return pl.DataFrame(
        {
            "sample_id": np.repeat(drawn.sample_id, nearest.shape[1]),
            "rank": np.tile(np.arange(1, nearest.shape[1] + 1), len(nearest)),
            "neighbor_id": nearest.ravel(),
            "similarity": np.take_along_axis(cosine, nearest, axis=1).ravel(),
        }
    )


def _clusters(drawn: Drawn) -> pl.DataFrame:
    """k-means finds the class a sample looks like, bisecting its superclass; HDBSCAN marks the outer tenth as noise."""
    seen_as = np.where(drawn.confused, DOG, drawn.truth)
    parts = {"kmeans": seen_as, "bisecting": seen_as // 2, "hdbscan": seen_as}
    frames = []
    for method, cluster in parts.items():
        distance = _distance(drawn.embedding, cluster)
        far = (distance > np.quantile(distance, 0.9)) & (method == "hdbscan")
        strength = 1 - distance / distance.max() if method == "hdbscan" else np.ones(len(distance))
        frame = pl.DataFrame(
            {"sample_id": drawn.sample_id, "cluster": cluster, "distance": distance, "strength": strength}
        )
        known = pl.when(pl.lit(pl.Series(~far))).then(pl.col("cluster", "distance"))
        frames.append(frame.with_columns(known, method=pl.lit(method)))
    return pl.concat(frames)


def _distance(embedding_ND: NDArray[np.float64], cluster: NDArray[np.int64]) -> NDArray[np.float64]:
    centres = {i: embedding_ND[cluster == i].mean(0) for i in np.unique(cluster)}
    return np.linalg.norm(embedding_ND - np.stack([centres[i] for i in cluster]), axis=1)


def _duplicates(drawn: Drawn) -> pl.DataFrame:
    """The first training sample and the first test sample of its class, marked as copies."""
    train = int(np.flatnonzero(drawn.split == "train")[0])
    test = int(np.flatnonzero((drawn.split == "test") & (drawn.truth == drawn.truth[train]))[0])
    pair = [{"sample_id": a, "duplicate_id": b} for a, b in ((train, test), (test, train))]
    return pl.DataFrame(pair).sort("sample_id").with_columns(tier=pl.lit("near"), correlation=0.98, leak=True)


def _dynamics(drawn: Drawn) -> pl.DataFrame:
    """Training samples; the confused ones have a negative margin."""
    margin = np.where(drawn.confused, -1.0, 3.0)
    return pl.DataFrame(
        {
            "sample_id": drawn.sample_id,
            "times_seen": 4,
            "aum": margin,
            "confidence": 1 / (1 + np.exp(-margin)),
            "variability": 0.1,
            "times_forgotten": drawn.confused.astype(np.int64),
        }
    ).filter(pl.Series(drawn.split == "train"))
