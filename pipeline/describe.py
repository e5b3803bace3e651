"""What each cluster is: class mix, loss against the rest, and the measured properties that set it apart.

A clause is written only if a Mann-Whitney test against all other samples survives Benjamini-Hochberg over
clusters x properties and Cliff's delta is at least .33 ("somewhat") or .474 ("clearly"; Romano et al. 2006).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from lake.contracts import METHODS, make_frame
from lake.queries import HELD_OUT, cluster_column
from pipeline.cluster import MEDOIDS
from pipeline.findings import Group, Partition, benjamini_hochberg, lift_interval, permutation_p
from pipeline.progress import Progress
from pipeline.settings import Settings

WORDS = {
    "bg_lightness": ("dark background", "light background", "L*"),
    "bg_plainness": ("plain background", "busy background", "spread of L*"),
    "bg_chroma": ("grey background", "colourful background", "chroma"),
    "shade": ("object darker than its background", "object lighter than its background", "difference of L*"),
    "object_chroma": ("grey objects", "colourful objects", "chroma"),
    "contrast": ("low contrast", "high contrast", "spread of L*"),
    "edge_density": ("few edges", "many edges", "share of pixels"),
}
SOMEWHAT, CLEARLY = 0.33, 0.474
MAX_CLAUSES = 4
NOTHING = "no measured property sets it apart"


@dataclass(frozen=True)
class Difference:
    """How one property of a set differs from all other samples."""

    column: str
    delta: float
    """Cliff's delta in -1..1: how much more often a member is larger than a non-member."""
    median: float
    median_all: float


def summarize(samples: pl.DataFrame, clusters: pl.DataFrame, settings: Settings, progress: Progress) -> pl.DataFrame:
    """The `cluster_summaries` table but for its run_id; `samples` as from `lake.queries.scan_samples`."""
    parts = []
    with progress.task("clusters", len(METHODS)) as task:
        for method in METHODS:
            members = clusters.filter(pl.col("method") == method).select("sample_id", "distance")
            parts.append(_summarize_method(samples.join(members, on="sample_id"), method, settings))
            task.advance()
    return pl.concat(parts)


def describe_sets(samples: pl.DataFrame, number: NDArray[np.int64], settings: Settings) -> list[str]:
    """One description for each number 0..max in `number` (-1: in none)."""
    sets = [number == i for i in range(number.max() + 1)]
    tested = [(i, column, *_compare(samples[column], inside)) for i, inside in enumerate(sets) for column in WORDS]
    adjusted = benjamini_hochberg(np.array([p for *_, p in tested]))
    kept: list[list[Difference]] = [[] for _ in sets]
    for (i, column, delta, _), q in zip(tested, adjusted, strict=True):
        if q < settings.false_discovery_rate and abs(delta) >= SOMEWHAT:
            inside = samples[column].filter(pl.Series(sets[i]))
            kept[i].append(Difference(column, delta, float(inside.median()), float(samples[column].median())))  # type: ignore[arg-type]
    return [_to_text(differences) for differences in kept]


def _compare(values: pl.Series, inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Cliff's delta and the two-sided Mann-Whitney p of members against all others."""
    column = values.to_numpy()
    if inside.all() or not inside.any():
        return 0.0, 1.0
    result = mannwhitneyu(column[inside], column[~inside], method="asymptotic")
    return 2 * result.statistic / (inside.sum() * (~inside).sum()) - 1, float(result.pvalue)


def _to_text(differences: list[Difference]) -> str:
    strongest = sorted(differences, key=lambda d: -abs(d.delta))[:MAX_CLAUSES]
    clauses = []
    for d in strongest:
        low, high, unit = WORDS[d.column]
        degree = "clearly" if abs(d.delta) >= CLEARLY else "somewhat"
        clauses.append(
            f"{degree} {high if d.delta > 0 else low} (median {unit} {d.median:.2g}, all {d.median_all:.2g})"
        )
    return ", ".join(clauses) or NOTHING


def _summarize_method(samples: pl.DataFrame, method: str, settings: Settings) -> pl.DataFrame:
    number = samples[cluster_column(method)].fill_null(-1).to_numpy()
    descriptions = describe_sets(samples, number, settings)
    held_out = samples.filter(HELD_OUT)
    held_number = held_out[cluster_column(method)].fill_null(-1).to_numpy()
    groups = [Group("cluster", {cluster_column(method): i}, held_number == i) for i in range(len(descriptions))]
    loss = held_out["loss"].to_numpy()
    adjusted = benjamini_hochberg(permutation_p(loss, [Partition(groups, held_number)], settings))
    rows = []
    for i, group in enumerate(groups):
        inside = samples.filter(pl.Series(number == i))
        enough = int(group.members.sum()) >= settings.min_group_size
        lift = lift_interval(loss, group.members) if enough else (None, None, None)
        mix = inside.drop_nulls("label")["label"].value_counts(sort=True, name="n")
        rows.append(
            {
                "method": method,
                "cluster": i,
                "n": len(inside),
                "n_held_out": int(group.members.sum()),
                "class_mix": mix.cast({"n": pl.Int64}).to_dicts(),
                "mean_loss": float(loss[group.members].mean()) if enough else None,
                "lift": lift[0],
                "lift_low": lift[1],
                "lift_high": lift[2],
                "adjusted_p": float(adjusted[i]) if enough else None,
                "description": descriptions[i],
                "medoids": inside.sort("distance", "sample_id")["sample_id"].head(MEDOIDS).to_list(),
            }
        )
    return make_frame("cluster_summaries", rows)
