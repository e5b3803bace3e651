"""What each cluster is: class mix, loss against the rest, and the measured properties that set it apart."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.cluster_contracts import METHODS
from lake.contracts import make_frame
from lake.differences import measure, notable, to_clause
from lake.queries import HELD_OUT, cluster_column
from lake.statistics import benjamini_hochberg
from pipeline.cluster import MEDOIDS
from pipeline.permutation import raised_p, to_matrix
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.statements import lift_interval

NOTHING = "no measured property sets it apart"


def summarize(
    samples: pl.DataFrame, clusters: pl.DataFrame, stability: pl.DataFrame, settings: Settings, progress: Progress
) -> pl.DataFrame:
    """The `cluster_summaries` table but for its run_id; `samples` as from `lake.queries.scan_samples`."""
    parts = []
    with progress.task("clusters", len(METHODS)) as task:
        for method in METHODS:
            members = clusters.filter(pl.col("method") == method).select("sample_id", "distance")
            found = _summarize_method(samples.join(members, on="sample_id"), method, settings)
            parts.append(found.drop("stability").join(stability, on=["method", "cluster"], how="left"))
            task.advance()
    return pl.concat(parts).select(make_frame("cluster_summaries", []).columns)


def describe_sets(samples: pl.DataFrame, number: NDArray[np.int64], settings: Settings) -> list[str]:
    """One description for each number 0..max in `number` (-1: in none).

    A clause that holds also against other samples of the same classes ends with "even for its classes".
    """
    sets = [number == i for i in range(number.max() + 1)]
    said = notable(measure(samples, sets), rate=settings.false_discovery_rate)
    labelled = samples["label"].is_not_null().to_numpy()
    matched = measure(samples.filter(pl.Series(labelled)), [inside[labelled] for inside in sets], within="label")
    even = set(notable(matched, rate=settings.false_discovery_rate).select("set", "property").iter_rows())
    clauses: list[list[str]] = [[] for _ in sets]
    for row in said.iter_rows(named=True):
        also = " even for its classes" if (row["set"], row["property"]) in even else ""
        clauses[row["set"]].append(to_clause(row) + also)
    return [", ".join(found) or NOTHING for found in clauses]


def _summarize_method(samples: pl.DataFrame, method: str, settings: Settings) -> pl.DataFrame:
    number = samples[cluster_column(method)].fill_null(-1).to_numpy()
    descriptions = describe_sets(samples, number, settings)
    held_out = samples.filter(HELD_OUT)
    held_number = held_out[cluster_column(method)].fill_null(-1).to_numpy()
    rows = [np.flatnonzero(held_number == i) for i in range(len(descriptions))]
    loss = held_out["loss"].to_numpy()
    enough = np.array([len(part) >= settings.min_group_size for part in rows], dtype=bool)
    adjusted = np.ones(len(rows))
    if enough.any():
        members = to_matrix([part for part, e in zip(rows, enough, strict=True) if e], len(loss))
        adjusted[enough] = benjamini_hochberg(
            raised_p(loss, members, permutations=settings.permutations, seed=settings.seed)
        )
    found = []
    for i, part in enumerate(rows):
        inside = samples.filter(pl.Series(number == i))
        mix = inside.drop_nulls("label")["label"].value_counts(sort=True, name="n")
        lift = lift_interval(loss, part) if enough[i] else (None, None, None)
        found.append(
            {
                "method": method,
                "cluster": i,
                "n": len(inside),
                "n_held_out": len(part),
                "class_mix": mix.cast({"n": pl.Int64}).to_dicts(),
                "mean_loss": float(loss[part].mean()) if enough[i] else None,
                "lift": lift[0],
                "lift_low": lift[1],
                "lift_high": lift[2],
                "adjusted_p": float(adjusted[i]) if enough[i] else None,
                "description": descriptions[i],
                "medoids": inside.sort("distance", "sample_id")["sample_id"].head(MEDOIDS).to_list(),
            }
        )
    return make_frame("cluster_summaries", found)
