"""A small published run for tests, made from the contracts without torch: four classes, cats taken for dogs.

`build_tiny_lake(root)` publishes it; `tiny_tables(...)` are its tables before anything is written.
Shapes: N samples, K classes, D features.
"""

import datetime as dt
import hashlib
import json
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.cluster_contracts import SWEEP_MEASURES
from lake.contracts import DATASET_TABLES, FIDELITY_MEASURES, SEPARATION_MEASURES, TABLES
from lake.filters import Filters
from lake.statistics import bootstrap_mean_interval, calibration_error
from lake.store import Lake
from tests import tiny_maps
from tests.tiny_data import (
    CLASSES,
    DOG,
    GROUPS,
    TEMPERATURE,
    Drawn,
    dataset_id_of,
    draw,
    images_frame,
    lists,
    properties_frame,
    samples_frame,
)

RUN_ID = "20260101-000000-aaaaaa"
STAGES = ["train", "score", "project", "cluster", "neighbors", "properties", "explain", "findings"]
PERMUTATIONS = 400
EMPTY = {"models", "search_index"}
"""Tables without rows: nothing was trained here, and nothing is too large to be searched as it is."""


def build_tiny_lake(root: str, *, run_id: str = RUN_ID, samples: int = 240, seed: int = 0) -> Lake:
    """The lake at `root` with one more published run; the same seed means the same dataset and numbers.

    From 40 samples up, so that every class and confusion is there.
    """
    lake = Lake(root)
    stage_all(lake, tiny_tables(run_id=run_id, samples=samples, seed=seed))
    lake.publish(run_facts(run_id=run_id, dataset_id=dataset_id_of(samples, seed), samples=samples, seed=seed))
    return lake


def stage_all(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    """Stage every table in order; there is no model, as nothing was trained."""
    for name, frame in tables.items():
        key = None if name in DATASET_TABLES else tables["predictions"]["run_id"][0]
        lake.stage(name, frame, key=key)


def run_facts(
    *, run_id: str = RUN_ID, dataset_id: str = "tiny-240-0", samples: int = 240, seed: int = 0
) -> dict[str, Any]:
    """What `Lake.publish` needs to know of the run."""
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
    """Every table of the run but `runs`, by name, in the order to stage them."""
    drawn = draw(run_id=run_id, samples=samples, seed=seed)
    known, predictions, clusters = samples_frame(drawn), _predictions(drawn), _clusters(drawn)
    rows = predictions.join(known.select("sample_id", "split", "label"), on="sample_id")
    maps = tiny_maps.loss_maps(rows)
    tables = {
        "samples": known,
        "images": images_frame(drawn),
        "properties": properties_frame(drawn),
        "predictions": predictions,
        "embeddings": pl.DataFrame({"sample_id": drawn.sample_id, "embedding": lists(drawn.embedding)}),
        "projection": _projection(drawn),
        "map_quality": _map_quality(),
        "separation": _separation(),
        "clusters": clusters,
        "cluster_quality": _cluster_quality(clusters),
        "cluster_summaries": _cluster_summaries(rows, clusters),
        "neighbors": _neighbors(drawn),
        "loss_maps": maps,
        "map_families": tiny_maps.map_families(rows, maps),
        "pooled_maps": tiny_maps.pooled_maps(rows, maps),
        "triage": _triage(rows),
        "duplicates": _duplicates(drawn),
        "label_issues": tiny_maps.label_issues(rows),
        "findings": _findings(rows),
        "training": _training(),
        "dynamics": _dynamics(drawn),
        **{name: TABLES[name].create_empty() for name in ("models", "search_index")},
        "proofs": tiny_maps.proofs(),
        "metrics": _metrics(rows),
    }
    keys = {n: ("dataset_id", drawn.dataset_id) if n in DATASET_TABLES else ("run_id", run_id) for n in tables}
    return {n: frame.with_columns(pl.lit(keys[n][1]).alias(keys[n][0])) for n, frame in tables.items()}


def _predictions(drawn: Drawn) -> pl.DataFrame:
    log_p, raw_log_p = _log_softmax(drawn.logits / TEMPERATURE), _log_softmax(drawn.logits)
    probabilities, rows = np.exp(log_p), np.arange(len(log_p))
    ranked, predicted = np.sort(probabilities, axis=1), log_p.argmax(1)
    frame = pl.DataFrame(
        {
            "sample_id": drawn.sample_id,
            "predicted": [CLASSES[i] for i in predicted],
            "confidence": ranked[:, -1],
            "probabilities": lists(probabilities),
            "logits": lists(drawn.logits),
            "loss": -log_p[rows, drawn.truth],
            "raw_loss": -raw_log_p[rows, drawn.truth],
            "expected_loss": -(probabilities * log_p).sum(1),
            "margin": ranked[:, -1] - ranked[:, -2],
            "correct": predicted == drawn.truth,
            "out_of_sample": drawn.split != "train",
            "fold": pl.Series([None] * len(rows), dtype=pl.Int64),
            "temperature": TEMPERATURE,
        }
    )
    labelled = pl.lit(pl.Series(drawn.split != "unlabeled"))
    return frame.with_columns(pl.when(labelled).then(pl.col("loss", "raw_loss", "correct")).name.keep())


def _log_softmax(logits_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(logits_NK - np.log(np.exp(logits_NK).sum(1, keepdims=True)))


def _projection(drawn: Drawn) -> pl.DataFrame:
    """The two features that tell classes apart: x by superclass, y by class within it."""
    x, y = drawn.embedding[:, 0], drawn.embedding[:, 1] + drawn.embedding[:, 2]
    nearest = min(15, len(x) - 1)
    before = _nearest(_cosine(drawn.embedding), nearest)
    after = _nearest(-np.hypot(x[:, None] - x, y[:, None] - y), nearest)
    kept = [np.isin(a, b).mean() for a, b in zip(before, after, strict=True)]
    components = {"pca_x": drawn.embedding[:, 0], "pca_y": drawn.embedding[:, 1]}
    return pl.DataFrame({"sample_id": drawn.sample_id, "x": x, "y": y, "neighbors_kept": kept, **components})


def _map_quality() -> pl.DataFrame:
    """A map that is better than principal components."""
    values = {"umap": 0.95, "pca": 0.80}
    rows = [
        {"view": view, "measure": measure, "n": 240, "value": value, "low": value - 0.01, "high": value + 0.01}
        for view, value in values.items()
        for measure in FIDELITY_MEASURES
    ]
    return pl.DataFrame(rows)


def _separation() -> pl.DataFrame:
    """Superclasses farther apart than classes, in the features farther than on the map; ships as all others."""
    rows = [
        {"grouping": grouping, "space": space, "measure": measure, "label": label, "n": 30 if label else 120}
        | {"value": value, "low": value - 0.02, "high": value + 0.01, "chance": None if label else 0.5}
        for grouping, apart in (("superclass", 0.97), ("label", 0.80))
        for space, value in (("embedding", apart), ("umap", apart - 0.04))
        for measure in SEPARATION_MEASURES
        for label in ("", *CLASSES)
    ]
    return pl.DataFrame(rows)


def _cosine(embedding_ND: NDArray[np.float64]) -> NDArray[np.float64]:
    unit_ND = embedding_ND / np.linalg.norm(embedding_ND, axis=1, keepdims=True)
    return unit_ND @ unit_ND.T


def _nearest(closeness_NN: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Rows of the `count` closest other rows, closest first."""
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
    """k-means finds what samples look like, bisecting their superclass, HDBSCAN calls the outer tenth noise."""
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


def _cluster_quality(clusters: pl.DataFrame) -> pl.DataFrame:
    """What is measured of each method, and k-means with fewer and more clusters."""
    rows = []
    for method, part in clusters.group_by("method", maintain_order=True):
        number = part["cluster"].n_unique() - (part["cluster"].null_count() > 0)
        values = {"silhouette": 0.6, "half_agreement": 0.9, "noise": part["cluster"].null_count() / len(part)}
        rows += [
            {"method": method[0], "clusters": number, "measure": name, "of": "", "value": value}
            for name, value in values.items()
        ]
    for k, value in {2: 0.5, 4: 0.62, 8: 0.4}.items():
        for measure in SWEEP_MEASURES:
            rows.append({"method": "kmeans", "clusters": k, "measure": measure, "of": "", "value": value})
    agreed = {"method": "kmeans", "clusters": 4, "measure": "agreement", "of": "bisecting", "value": 0.55}
    return pl.DataFrame([*rows, agreed])


def _cluster_summaries(rows: pl.DataFrame, clusters: pl.DataFrame) -> pl.DataFrame:
    held_out = _held_out(rows)
    members = clusters.drop_nulls("cluster").sort("method", "cluster", "distance")
    summaries = []
    for (method, cluster), part in members.group_by("method", "cluster", maintain_order=True):
        group = rows.join(part, on="sample_id")
        loss = _held_out(group)["loss"].to_numpy()
        facts = _lift(loss, held_out["loss"].to_numpy()) if len(loss) else {}
        mix = group.drop_nulls("label")["label"].value_counts(sort=True, name="n").cast({"n": pl.Int64})
        top = mix["label"][0] if mix.height else "unlabeled"
        summaries.append(
            {"method": method, "cluster": cluster, "n": group.height, "n_held_out": len(loss)}
            | {"class_mix": mix.to_dicts(), "mean_loss": float(loss.mean()) if len(loss) else None}
            | {name: facts.get(name) for name in ("lift", "lift_low", "lift_high")}
            | {"adjusted_p": facts.get("p"), "stability": 0.9 - 0.2 * cluster}
            | {"description": f"Mostly {top}; its background is plain."}
            | {"medoids": part["sample_id"].head(12).to_list()}
        )
    return pl.DataFrame(summaries)


def _held_out(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("label").is_not_null() & pl.col("out_of_sample"))


def _lift(loss: NDArray[np.float64], all_loss: NDArray[np.float64]) -> dict[str, float]:
    """Mean loss over that of all with its interval, and the p of random groups of equal size."""
    low, high = bootstrap_mean_interval(loss)
    overall = all_loss.mean()
    return {
        "lift": float(loss.mean() / overall),
        "lift_low": low / overall,
        "lift_high": high / overall,
        "p": _permutation_p(loss, all_loss),
    }


def _permutation_p(loss: NDArray[np.float64], all_loss: NDArray[np.float64]) -> float:
    rng = np.random.default_rng(0)
    drawn = [rng.permutation(all_loss)[: len(loss)].mean() for _ in range(PERMUTATIONS)]
    return float((1 + (np.array(drawn) >= loss.mean() - 1e-9).sum()) / (1 + PERMUTATIONS))


def _triage(rows: pl.DataFrame) -> pl.DataFrame:
    """Every high loss, by how sure the model is."""
    high = _held_out(rows).filter(pl.col("loss") > np.log(2))
    reason = pl.when(pl.col("confidence") > 0.8).then(pl.lit("look-alike class")).otherwise(pl.lit("unsure"))
    return high.select("sample_id", reason.alias("reason"), label_share=0.4, predicted_share=0.6, similarity=0.8)


def _duplicates(drawn: Drawn) -> pl.DataFrame:
    """The first training sample and the first test sample of its class are said to be copies."""
    train = int(np.flatnonzero(drawn.split == "train")[0])
    test = int(np.flatnonzero((drawn.split == "test") & (drawn.truth == drawn.truth[train]))[0])
    pair = [{"sample_id": a, "duplicate_id": b} for a, b in ((train, test), (test, train))]
    return pl.DataFrame(pair).sort("sample_id").with_columns(tier=pl.lit("near"), correlation=0.98, leak=True)


def _findings(rows: pl.DataFrame) -> pl.DataFrame:
    """The class cat and the cats taken for dogs, with every number computed from the rows."""
    held_out = _held_out(rows)
    cats = held_out.filter(pl.col("label") == "cat")
    found = [
        _finding("class", "cat", Filters.of(label="cat", out_of_sample="true"), held_out) | {"class_matched_p": None},
        _finding(
            "confusion",
            "cat → dog",
            Filters.of(label="cat", predicted="dog", out_of_sample="true"),
            held_out,
        )
        | {"class_matched_p": _permutation_p(_taken_for_dogs(cats), cats["loss"].to_numpy())},
    ]
    ranked = sorted(found, key=lambda row: -row["severity"])
    worst_p = max(row["p"] for row in ranked)
    return pl.DataFrame(
        [{"finding_id": i, "adjusted_p": worst_p, **row} for i, row in enumerate(ranked, 1)],
        schema_overrides={"class_matched_p": pl.Float64, "covered_by": pl.Int64},
    )


def _taken_for_dogs(cats: pl.DataFrame) -> NDArray[np.float64]:
    return cats.filter(pl.col("predicted") == "dog")["loss"].to_numpy()


def _finding(kind: str, name: str, filters: Filters, held_out: pl.DataFrame) -> dict[str, Any]:
    group = filters.apply(held_out.lazy()).collect()
    loss, all_loss = group["loss"].to_numpy(), held_out["loss"].to_numpy()
    facts = _lift(loss, all_loss)
    cells = group.group_by("label", "predicted").agg(pl.len().cast(pl.Int64).alias("n"))
    return facts | {
        "kind": kind,
        "name": name,
        "sentence": f"{name}: {group.height} held-out samples lose {facts['lift']:.1f} times the average.",
        "n": group.height,
        "population": held_out.height,
        "mean_loss": float(loss.mean()),
        "median_loss": float(np.median(loss)),
        "errors": int((~group["correct"]).sum()),
        "confirmed": True,
        "covered_by": None,
        "severity": float(loss.sum() - len(loss) * all_loss.mean()),
        "confusion": cells.sort("n", "predicted", descending=[True, False]).to_dicts(),
        "reasons": [{"reason": "unsure", "n": group.height}],
        "splits": group["split"].value_counts(sort=True, name="n").cast({"n": pl.Int64}).to_dicts(),
        "example_ids": group.sort("loss", descending=True)["sample_id"].head(12).to_list(),
        "filter": filters.to_text(),
        "action": "Collect about 120 more cat images like the hard ones.",
        "more_images": 120,
        "more_label": "cat",
        "near_own": 40,
        "near_other": 90,
    }


def _training() -> pl.DataFrame:
    step = np.arange(1, 9)
    return pl.DataFrame(
        {
            "step": step * 5,
            "epoch": step / 2,
            "resolution": np.where(step < 6, 16, 32),
            "loss": 1.4 / step + 0.3,
            "accuracy": 1 - 0.7 / step,
            "learning_rate": 0.05 * np.minimum(step / 2, (9 - step) / 7),
            "images_per_second": np.where(step < 6, 2400.0, 700.0),
        }
    )


def _dynamics(drawn: Drawn) -> pl.DataFrame:
    """Training samples, the confused ones with a negative margin."""
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


def _metrics(rows: pl.DataFrame) -> pl.DataFrame:
    """Costs of every stage in order, and the headline figures of the test split."""
    costs = [
        {"stage": stage, "name": name, "value": float(value)}
        for order, stage in enumerate(STAGES)
        for name, value in {
            "order": order,
            "seconds": 2 + order,
            "peak_memory_mib": 300 + 10 * order,
            "reused": 0,
        }.items()
    ]
    test = rows.filter(pl.col("split") == "test")
    confidence, correct = test["confidence"].to_numpy(), test["correct"].to_numpy()
    headline = {
        "test_accuracy": float(correct.mean()),
        "temperature": TEMPERATURE,
        "calibration_error": calibration_error(confidence, correct),
    }
    named = [{"stage": "score", "name": name, "value": value} for name, value in headline.items()]
    return pl.DataFrame([*costs, *named])
