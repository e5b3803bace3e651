"""What each cluster is: class mix, loss against the rest, and the measured properties that set it apart."""

from itertools import compress, islice

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
    with progress.task("clusters", 1 + len(METHODS)) as task:
        held_out = samples.filter(HELD_OUT)
        rows = {method: _rows(held_out, method, 1 + _numbers(samples, method).max()) for method in METHODS}
        p = _raised(held_out["loss"].to_numpy(), rows, settings)
        task.advance()
        for method in METHODS:
            members = clusters.filter(pl.col("method") == method).select("sample_id", "distance")
            joined = samples.join(members, on="sample_id")
            found = _summarize_method(joined, method, rows[method], p[method], settings)
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


def _numbers(samples: pl.DataFrame, method: str) -> NDArray[np.int64]:
    """The cluster of each sample; -1 for none."""
    return samples[cluster_column(method)].fill_null(-1).to_numpy()


def _rows(samples: pl.DataFrame, method: str, clusters: int) -> list[NDArray[np.int64]]:
    """The rows of each of so many clusters."""
    number = _numbers(samples, method)
    return [np.flatnonzero(number == i) for i in range(clusters)]


def _raised(
    loss: NDArray[np.float64], rows: dict[str, list[NDArray[np.int64]]], settings: Settings
) -> dict[str, NDArray[np.float64]]:
    """By method the adjusted p of each cluster that its loss is raised; nan where it has too few samples."""
    enough = {method: [len(part) >= settings.min_group_size for part in parts] for method, parts in rows.items()}
    tested = [part for method, parts in rows.items() for part in compress(parts, enough[method])]
    given = settings.model_dump(include={"permutations", "seed", "threads"})
    p = iter(raised_p(loss, to_matrix(tested, len(loss)), **given))
    found = {}
    for method, judged in enough.items():
        found[method] = np.full(len(judged), np.nan)
        found[method][judged] = benjamini_hochberg(np.array(list(islice(p, sum(judged)))))
    return found


def _summarize_method(
    samples: pl.DataFrame,
    method: str,
    rows: list[NDArray[np.int64]],
    adjusted: NDArray[np.float64],
    settings: Settings,
) -> pl.DataFrame:
    number = _numbers(samples, method)
    descriptions = describe_sets(samples, number, settings)
    loss = samples.filter(HELD_OUT)["loss"].to_numpy()
    found = []
    for i, part in enumerate(rows):
        inside = samples.filter(pl.Series(number == i))
        mix = inside.drop_nulls("label")["label"].value_counts(sort=True, name="n")
        enough = not np.isnan(adjusted[i])
        lift = lift_interval(loss, part) if enough else (None, None, None)
        found.append(
            {
                "method": method,
                "cluster": i,
                "n": len(inside),
                "n_held_out": len(part),
                "class_mix": mix.cast({"n": pl.Int64}).to_dicts(),
                "mean_loss": float(loss[part].mean()) if enough else None,
                "lift": lift[0],
                "lift_low": lift[1],
                "lift_high": lift[2],
                "adjusted_p": float(adjusted[i]) if enough else None,
                "description": descriptions[i],
                "medoids": inside.sort("distance", "sample_id")["sample_id"].head(MEDOIDS).to_list(),
            }
        )
    return make_frame("cluster_summaries", found)
