"""Describe each cluster: class mix, loss relative to all samples, and the measured properties that set it apart."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.comparison.differences import Difference, measure, notable, to_clause
from lake.contracts.clusters import METHODS
from lake.contracts.rows import rows_of
from lake.contracts.tables import make_frame
from lake.query.joined_samples import cluster_column
from lake.query.queries import HELD_OUT
from lake.statistics import benjamini_hochberg
from pipeline.engine.progress import Progress
from pipeline.findings.permutation import raised_p, to_matrix
from pipeline.findings.wording import lift_interval
from pipeline.measure.clustering import MEDOIDS
from pipeline.settings import Settings

NOTHING = "no measured property sets it apart"
Row = dict[str, object]


def summarize(
    samples: pl.DataFrame, clusters: pl.DataFrame, stability: pl.DataFrame, settings: Settings, progress: Progress
) -> pl.DataFrame:
    """The table `cluster_summaries` without the column run_id; `samples` is from `scan_samples`."""
    tables = []
    with progress.task("clusters", 1 + len(METHODS)) as task:
        losses = _compare_losses(samples, settings)
        task.advance()
        for method in METHODS:
            members = clusters.filter(pl.col("method") == method).select("sample_id", "distance")
            joined = samples.join(members, on="sample_id", maintain_order="left")
            summary = _summarize_method(joined, method, losses[method], settings)
            tables.append(summary.drop("stability").join(stability, on=["method", "cluster"], how="left"))
            task.advance()
    return pl.concat(tables).select(make_frame("cluster_summaries", []).columns)


def describe_sets(samples: pl.DataFrame, number: NDArray[np.int64], settings: Settings) -> list[str]:
    """One description for each set 0..max in `number` (-1: in no set).

    A clause that also holds against other samples of the same classes ends with "even for its classes".
    """
    sets = [number == i for i in range(number.max() + 1)]
    differences = notable(measure(samples, sets), rate=settings.false_discovery_rate)
    labelled = samples["label"].is_not_null().to_numpy()
    matched = measure(samples.filter(pl.Series(labelled)), [inside[labelled] for inside in sets], within="label")
    even = set(notable(matched, rate=settings.false_discovery_rate).select("set", "property").iter_rows())
    clauses: list[list[str]] = [[] for _ in sets]
    for place, row in zip(differences["set"], rows_of(differences, Difference), strict=True):
        also = " even for its classes" if (place, row["property"]) in even else ""
        clauses[place].append(to_clause(row) + also)
    return [", ".join(of_set) or NOTHING for of_set in clauses]


def _compare_losses(samples: pl.DataFrame, settings: Settings) -> dict[str, list[Row]]:
    """By method and cluster, its held-out samples against all: n, mean loss, lift, adjusted p; null if too few.

    All methods are tested with the same permutations; p-values are adjusted within each method.
    """
    held_out = samples.filter(HELD_OUT)
    loss = held_out["loss"].to_numpy()
    rows = {}
    for method in METHODS:
        number = _numbers(held_out, method)
        rows[method] = [np.flatnonzero(number == i) for i in range(1 + _numbers(samples, method).max())]
    p = raised_p(
        loss,
        to_matrix([members for clusters in rows.values() for members in clusters], len(loss)),
        permutations=settings.permutations,
        seed=settings.seed,
        threads=settings.threads,
    )
    ends = np.cumsum([len(clusters) for clusters in rows.values()])
    facts = {}
    for (method, clusters), p_values in zip(rows.items(), np.split(p, ends[:-1]), strict=True):
        enough = np.array([len(members) >= settings.min_group_size for members in clusters], dtype=bool)
        p_values[enough] = benjamini_hochberg(p_values[enough])
        facts[method] = [_loss_facts(loss, *arguments) for arguments in zip(clusters, p_values, enough, strict=True)]
    return facts


def _loss_facts(loss: NDArray[np.float64], rows: NDArray[np.int64], adjusted_p: float, enough: bool) -> Row:
    if not enough:
        return {"n_held_out": len(rows)}
    lift, low, high = lift_interval(loss, rows)
    return {
        "n_held_out": len(rows),
        "mean_loss": float(loss[rows].mean()),
        "lift": lift,
        "lift_low": low,
        "lift_high": high,
        "adjusted_p": float(adjusted_p),
    }


def _summarize_method(samples: pl.DataFrame, method: str, losses: list[Row], settings: Settings) -> pl.DataFrame:
    number = _numbers(samples, method)
    descriptions = describe_sets(samples, number, settings)
    rows = []
    for i, (description, loss_facts) in enumerate(zip(descriptions, losses, strict=True)):
        inside = samples.filter(pl.Series(number == i))
        mix = inside.drop_nulls("label")["label"].value_counts(sort=True, name="n")
        rows.append(
            {
                "method": method,
                "cluster": i,
                "n": len(inside),
                "class_mix": mix.cast({"n": pl.Int64}).to_dicts(),
                "description": description,
                "medoids": inside.sort("distance", "sample_id")["sample_id"].head(MEDOIDS).to_list(),
                **loss_facts,
            }
        )
    return make_frame("cluster_summaries", rows)


def _numbers(samples: pl.DataFrame, method: str) -> NDArray[np.int64]:
    """The cluster of each sample; -1 for none."""
    return samples[cluster_column(method)].fill_null(-1).to_numpy()
