"""Measurements -> ranked, tested statements about groups of samples whose loss is raised.

Out-of-sample losses only. A group is found on one half of the samples (one-sided permutation test of its mean
loss against random groups of equal size, Benjamini-Hochberg over everything tested) and confirmed on the other.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts import METHODS, make_frame
from lake.filters import Clause, Filters
from lake.queries import HELD_OUT, cluster_column
from pipeline.progress import Progress
from pipeline.settings import Settings

BOOTSTRAP_RESAMPLES = 1000
EXAMPLES = 12
CONFIRMED_BELOW = 0.05


@dataclass(frozen=True)
class Group:
    """The held-out samples on which every column of `where` has its value; `members` is their mask."""

    kind: str
    where: dict[str, str | int]
    members: NDArray[np.bool_]

    @property
    def filters(self) -> Filters:
        """The filter that reproduces the group from `scan_samples`."""
        chosen = Filters.of(**{column: str(value) for column, value in self.where.items()}, out_of_sample="true")
        return chosen if "label" in self.where else chosen.with_clause(Clause(column="label", op="present"))


@dataclass(frozen=True)
class Partition:
    """Groups that do not overlap, as one number a sample (-1: in none), so that one permutation tests them all."""

    groups: list[Group]
    number: NDArray[np.int64]


def find(samples: pl.DataFrame, settings: Settings, progress: Progress) -> pl.DataFrame:
    """The `findings` table but for its run_id, worst first; `samples` as from `lake.queries.scan_samples`."""
    held_out = samples.filter(HELD_OUT)
    loss = held_out["loss"].to_numpy()
    partitions = _partitions(held_out, settings.min_group_size)
    half = split_in_half(held_out["sample_id"].to_numpy())
    with progress.task("findings", 3) as task:
        found = permutation_p(loss, partitions, settings, only=half)
        task.advance()
        again = permutation_p(loss, partitions, settings, only=~half)
        task.advance()
        matched = permutation_p(loss, partitions, settings, within=held_out["label"].to_numpy())
        task.advance()
    adjusted = benjamini_hochberg(found)
    groups = [group for partition in partitions for group in partition.groups]
    rows = [
        _describe(group, held_out, found[i], adjusted[i], matched[i], confirmed=bool(again[i] < CONFIRMED_BELOW))
        for i, group in enumerate(groups)
        if adjusted[i] < settings.false_discovery_rate
    ]
    rows.sort(key=lambda row: -float(row["severity"]))  # type: ignore[arg-type]
    return make_frame("findings", [{"finding_id": rank, **row} for rank, row in enumerate(rows, 1)])


def permutation_p(
    loss: NDArray[np.float64],
    partitions: list[Partition],
    settings: Settings,
    *,
    only: NDArray[np.bool_] | None = None,
    within: NDArray[np.object_] | None = None,
) -> NDArray[np.float64]:
    """One-sided p that the mean loss of each group is not raised; p = (1 + hits) / (1 + permutations).

    Groups with fewer than `min_group_size` samples in `only` get p = 1. `within` permutes inside each of its
    values: is the group hard even for its classes?
    """
    rng = np.random.default_rng([settings.seed, 5])
    chosen = np.ones(len(loss), bool) if only is None else only
    values = loss[chosen]
    strata = None if within is None else np.unique(within[chosen].astype(str), return_inverse=True)[1]
    numbers = [(partition.number[chosen] + 1, len(partition.groups) + 1) for partition in partitions]
    sums = [np.bincount(number, values, size)[1:] for number, size in numbers]
    sizes = np.concatenate([np.bincount(number, minlength=size)[1:] for number, size in numbers])
    hits = np.zeros(len(sizes))
    for _ in range(settings.permutations):
        shuffled = _permute(values, strata, rng)
        drawn = [np.bincount(number, shuffled, size)[1:] for number, size in numbers]
        hits += np.concatenate(drawn) >= np.concatenate(sums) - 1e-9
    p = (1 + hits) / (1 + settings.permutations)
    return np.where(sizes >= settings.min_group_size, p, 1.0)


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjusted p values (q) that hold the false discovery rate. Benjamini & Hochberg 1995."""
    order = np.argsort(p)[::-1]
    scaled = p[order] * len(p) / np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum.accumulate(scaled).clip(max=1)
    return adjusted


def lift_interval(loss: NDArray[np.float64], members: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Mean loss of the members over that of all, with a 95 % bootstrap interval over the members."""
    inside, overall = loss[members], loss.mean()
    rng = np.random.default_rng(0)
    means = inside[rng.integers(0, len(inside), (BOOTSTRAP_RESAMPLES, len(inside)))].mean(1) / overall
    low, high = np.quantile(means, [0.025, 0.975])
    return float(inside.mean() / overall), float(low), float(high)


def split_in_half(sample_id: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A mask of about half the samples that depends on their ids only."""
    return np.array([hashlib.blake2b(str(i).encode(), digest_size=1).digest()[0] < 128 for i in sample_id])


def _partitions(held_out: pl.DataFrame, min_group_size: int) -> list[Partition]:
    """Classes, the clusters of each method, and wrong cells of the confusion matrix."""
    rows = held_out.with_row_index("row")
    wrong = rows.filter(~pl.col("correct"))
    methods = [_partition("cluster", rows, [cluster_column(m)], len(rows), min_group_size) for m in METHODS]
    return [
        _partition("class", rows, ["label"], len(rows), min_group_size),
        *methods,
        _partition("confusion", wrong, ["label", "predicted"], len(rows), min_group_size),
    ]


def _partition(kind: str, rows: pl.DataFrame, keys: list[str], size: int, min_group_size: int) -> Partition:
    grouped = rows.drop_nulls(keys).group_by(keys).agg("row").filter(pl.col("row").list.len() >= min_group_size)
    number, groups = np.full(size, -1), []
    for i, record in enumerate(grouped.sort(keys).iter_rows(named=True)):
        members = np.zeros(size, bool)
        members[record.pop("row")] = True
        number[members] = i
        groups.append(Group(kind, record, members))
    return Partition(groups, number)


def _permute(
    values: NDArray[np.float64], strata: NDArray[np.int64] | None, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The values in random order; inside each stratum where strata are given."""
    if strata is None:
        return rng.permutation(values)
    ordered = np.argsort(strata, kind="stable")
    shuffled = np.empty_like(values)
    shuffled[ordered] = values[np.argsort(strata + rng.random(len(values)))]
    return shuffled


def _describe(
    group: Group, held_out: pl.DataFrame, p: float, adjusted_p: float, matched_p: float, *, confirmed: bool
) -> dict[str, object]:
    loss = held_out["loss"].to_numpy()
    inside = held_out.filter(pl.Series(group.members))
    lift, low, high = lift_interval(loss, group.members)
    wrong = inside.filter(~pl.col("correct"))
    confusion = wrong.group_by("label", "predicted").agg(pl.len().cast(pl.Int64).alias("n"))
    confusion = confusion.sort("n", "label", "predicted", descending=[True, False, False])
    population = held_out.filter(pl.col("label") == group.where["label"]) if "label" in group.where else held_out
    name = _name(group, inside)
    top = confusion.row(0, named=True) if len(confusion) else None
    return {
        "kind": group.kind,
        "name": name,
        "sentence": _sentence(group, name, lift, low, high, len(inside), len(population), len(wrong), top),
        "n": len(inside),
        "population": len(population),
        "mean_loss": float(loss[group.members].mean()),
        "lift": lift,
        "lift_low": low,
        "lift_high": high,
        "errors": len(wrong),
        "p": float(p),
        "adjusted_p": float(adjusted_p),
        "class_matched_p": None if group.kind == "class" else float(matched_p),
        "confirmed": confirmed,
        "severity": float((loss[group.members] - loss.mean()).sum()),
        "confusion": confusion.to_dicts(),
        "example_ids": inside.sort("loss", descending=True)["sample_id"].head(EXAMPLES).to_list(),
        "filter": group.filters.to_text(),
        "action": _action(group, top),
    }


def _name(group: Group, inside: pl.DataFrame) -> str:
    if group.kind == "class":
        return str(group.where["label"]).capitalize()
    if group.kind == "confusion":
        return f"{str(group.where['label']).capitalize()} called {group.where['predicted']}"
    ((column, number),) = group.where.items()
    mix = inside["label"].value_counts(sort=True).head(2)
    shares = ", ".join(f"{label} {n / len(inside):.0%}" for label, n in mix.iter_rows())
    return f"{column.removeprefix('cluster_').capitalize()} group {number} ({shares})"


def _sentence(
    group: Group,
    name: str,
    lift: float,
    low: float,
    high: float,
    n: int,
    population: int,
    errors: int,
    top: dict[str, object] | None,
) -> str:
    raised = f"{lift:.1f} times the average loss ({low:.1f} to {high:.1f})"
    if group.kind == "confusion":
        where = group.where
        return f"{n:,} of {population:,} {where['label']} images are called {where['predicted']}, at {raised}."
    called = f", most often {top['label']} called {top['predicted']} ({top['n']})" if top else ""
    return f"{name}: {errors:,} of {n:,} are wrong{called}, at {raised}."


def _action(group: Group, top: dict[str, object] | None) -> str:
    if group.kind == "confusion":
        return f"Compare them with {group.where['predicted']} images: collect more like them or correct their labels."
    if group.kind == "class":
        return f"Collect more {group.where['label']} images like the examples."
    return "Open the group, name what its members share, and collect more of it." if top else "Review the group."
