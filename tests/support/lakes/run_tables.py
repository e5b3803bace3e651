"""Tables of a synthetic run, computed from its rows or made up, for the tiny lake and for large ones.

`rows` are predictions with the split and label of each sample.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.clusters import SWEEP_MEASURES
from lake.contracts.tables import FIDELITY_MEASURES, SEPARATION_MEASURES
from lake.query.filters import Filters
from lake.statistics import bootstrap_mean_interval, calibration_error
from tests.support.lakes.tiny_data import TEMPERATURE, lists

STAGES = ["train", "score", "projection", "clusters", "neighbors", "properties", "loss_maps", "findings"]
PERMUTATIONS = 400
PAIR = ("cat", "dog")
"""The class that findings are about, and the class it is confused with."""


def predictions(
    sample_id: NDArray[np.int64],
    logits_NK: NDArray[np.floating[Any]],
    truth: NDArray[np.int64],
    split: NDArray[np.str_],
    classes: list[str],
) -> pl.DataFrame:
    """The table `predictions` for these logits; `truth` is the class index, also where the label is withheld."""
    log_p, raw_log_p = _log_softmax(logits_NK / TEMPERATURE), _log_softmax(logits_NK)
    probabilities, rows = np.exp(log_p), np.arange(len(log_p))
    ranked, predicted = np.partition(probabilities, -2, axis=1), log_p.argmax(1)
    frame = pl.DataFrame(
        {
            "sample_id": sample_id,
            "predicted": [classes[i] for i in predicted],
            "confidence": ranked[:, -1],
            "probabilities": lists(probabilities),
            "logits": lists(logits_NK),
            "loss": -log_p[rows, truth],
            "raw_loss": -raw_log_p[rows, truth],
            "expected_loss": -(probabilities * log_p).sum(1),
            "entropy": -(probabilities * log_p).sum(1) / np.log(len(classes)),
            "margin": ranked[:, -1] - ranked[:, -2],
            "correct": predicted == truth,
            "out_of_sample": split != "train",
            "fold": pl.Series([None] * len(rows), dtype=pl.Int64),
            "temperature": TEMPERATURE,
        }
    )
    labelled = pl.lit(pl.Series(split != "unlabeled"))
    return frame.with_columns(pl.when(labelled).then(pl.col("loss", "raw_loss", "correct")).name.keep())


def map_quality() -> pl.DataFrame:
    """UMAP quality above that of principal components."""
    values = {"umap": 0.95, "pca": 0.80}
    rows = [
        {"view": view, "measure": measure, "n": 240, "value": value, "low": value - 0.01, "high": value + 0.01}
        for view, value in values.items()
        for measure in FIDELITY_MEASURES
    ]
    return pl.DataFrame(rows)


def separation(classes: list[str], n: int = 120) -> pl.DataFrame:
    """Superclasses farther apart than classes, in embedding space more than on the map; all classes are equal."""
    rows = [
        {"grouping": grouping, "space": space, "measure": measure, "label": label, "n": 30 if label else n}
        | {"value": value, "low": value - 0.02, "high": value + 0.01, "chance": None if label else 0.5}
        for grouping, apart in (("superclass", 0.97), ("label", 0.80))
        for space, value in (("embedding", apart), ("umap", apart - 0.04))
        for measure in SEPARATION_MEASURES
        for label in ("", *classes)
    ]
    return pl.DataFrame(rows)


def cluster_quality(clusters: pl.DataFrame) -> pl.DataFrame:
    """Measures of each method, and of k-means with fewer and more clusters."""
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


def cluster_summaries(rows: pl.DataFrame, clusters: pl.DataFrame) -> pl.DataFrame:
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
            | {"adjusted_p": facts.get("p"), "stability": 0.9 - 0.2 * (cluster % 4)}
            | {"description": f"Mostly {top}; its background is plain."}
            | {"medoids": part["sample_id"].head(12).to_list()}
        )
    return pl.DataFrame(summaries)


def triage(rows: pl.DataFrame) -> pl.DataFrame:
    """Every high loss, by the confidence of the model."""
    high = _held_out(rows).filter(pl.col("loss") > np.log(2))
    reason = pl.when(pl.col("confidence") > 0.8).then(pl.lit("look-alike class")).otherwise(pl.lit("unsure"))
    return high.select("sample_id", reason.alias("reason"), label_share=0.4, predicted_share=0.6, similarity=0.8)


def top_pair(rows: pl.DataFrame) -> tuple[str, str]:
    """The most frequent error of held-out samples: label and prediction."""
    wrong = _held_out(rows).filter(~pl.col("correct")).group_by("label", "predicted").len()
    label, predicted, _ = wrong.sort("len", "label", "predicted", descending=[True, False, False]).row(0)
    return label, predicted


def findings(rows: pl.DataFrame, pair: tuple[str, str] = PAIR) -> pl.DataFrame:
    """A class and its confusion with another, with every number computed from the rows."""
    label, other = pair
    held_out = _held_out(rows)
    own = held_out.filter(pl.col("label") == label)
    taken = own.filter(pl.col("predicted") == other)["loss"].to_numpy()
    of_class = Filters.of(label=label, out_of_sample="true")
    of_pair = Filters.of(label=label, predicted=other, out_of_sample="true")
    found = [
        _finding("class", label, of_class, held_out, label) | {"class_matched_p": None},
        _finding("confusion", f"{label} → {other}", of_pair, held_out, label)
        | {"class_matched_p": _permutation_p(taken, own["loss"].to_numpy())},
    ]
    ranked = sorted(found, key=lambda row: -row["severity"])
    worst_p = max(row["p"] for row in ranked)
    return pl.DataFrame(
        [{"finding_id": i, "adjusted_p": worst_p, **row} for i, row in enumerate(ranked, 1)],
        schema_overrides={"class_matched_p": pl.Float64, "covered_by": pl.Int64},
    )


def training() -> pl.DataFrame:
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


def metrics(rows: pl.DataFrame) -> pl.DataFrame:
    """Costs of every stage in order, and headline figures of the test split."""
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


def _finding(kind: str, name: str, filters: Filters, held_out: pl.DataFrame, label: str) -> dict[str, Any]:
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
        "action": f"Collect about 120 more {label} images like the hard ones.",
        "more_images": 120,
        "more_label": label,
        "near_own": 40,
        "near_other": 90,
    }


def _held_out(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("label").is_not_null() & pl.col("out_of_sample"))


def _lift(loss: NDArray[np.float64], all_loss: NDArray[np.float64]) -> dict[str, float]:
    """Ratio of the mean loss to that of all samples, with its interval, and p against random groups of equal size."""
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


def _log_softmax(logits_NK: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.asarray(logits_NK - np.log(np.exp(logits_NK).sum(1, keepdims=True)))
