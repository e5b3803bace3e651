"""Describe a group in words: its counts, how far its loss is raised, why, and what to do about it."""

import math
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.rows import ConfusionCount, ReasonCount, SplitCount, rows_of
from lake.statistics import bootstrap_mean_interval
from lake.text.formatting import percent
from pipeline.findings.candidate_groups import Group
from pipeline.findings.error_causes import HIGH_LOSS

EXAMPLES = 12
MOSTLY = 0.5


class More(TypedDict):
    """How many images to collect (and of which label) or to label, and the neighbour counts behind the number."""

    more_label: str | None
    more_images: int | None
    near_own: int | None
    near_other: int | None


NO_MORE: More = {"more_label": None, "more_images": None, "near_own": None, "near_other": None}


@dataclass(frozen=True)
class Density:
    """The classes of the training images around each sample."""

    near: pl.DataFrame
    """One row for each training image among the neighbours of a sample: sample_id, neighbor_id and near_label."""
    scale: float
    """Number of training images divided by the number of those that were scored and can therefore be neighbours."""

    @classmethod
    def of(cls, samples: pl.DataFrame, neighbors: pl.DataFrame, *, training_images: int) -> "Density":
        searched = neighbors.select(neighbor_id="sample_id").unique()  # samples without an embedding are not
        trained = samples.filter(pl.col("split") == "train").select(neighbor_id="sample_id", near_label="label")
        trained = trained.join(searched, on="neighbor_id", how="semi")
        near = neighbors.select("sample_id", "neighbor_id").join(trained, on="neighbor_id")
        return cls(near, training_images / max(1, len(trained)))

    def more_images(self, members: pl.DataFrame) -> More:
        """The label with the most missing training images around the members, their number, and the counts behind it.

        For the members of one label, o places among their nearest training images belong to that label and x to other
        classes. If x > o, its density there must grow by a factor of x / o for an even vote; the training images of the
        label that are there now must grow by the same factor.
        """
        slots = members.select("sample_id", "label").drop_nulls().join(self.near, on="sample_id")
        own = pl.col("near_label") == pl.col("label")
        counts = slots.group_by("label").agg(
            own.sum().cast(pl.Int64).alias("own"),
            (~own).sum().cast(pl.Int64).alias("other"),
            pl.col("neighbor_id").filter(own).n_unique().alias("images"),
        )
        missing = counts.filter(pl.col("other") > pl.col("own"), pl.col("own") > 0).with_columns(
            (self.scale * pl.col("images") * (pl.col("other") / pl.col("own") - 1)).alias("more")
        )
        if missing.is_empty():
            return NO_MORE
        most = missing.sort("more", "label", descending=[True, False]).row(0, named=True)
        return {
            "more_label": most["label"],
            "more_images": two_digits(most["more"]),
            "near_own": most["own"],
            "near_other": most["other"],
        }


class _Counts(More):
    """Counts for a group: its errors, confusions and the reasons for its high losses, if it has labels."""

    errors: int | None
    confusion: list[ConfusionCount]
    reasons: list[ReasonCount]


class Facts(_Counts):
    """The numbers of a finding about a group, except for its tests."""

    kind: str
    n: int
    population: int
    mean_loss: float
    median_loss: float
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    severity: float
    splits: list[SplitCount]
    example_ids: list[int]


def to_row(group: Group, samples: pl.DataFrame, value: str, density: Density) -> dict[str, object]:
    """The finding about a group of `samples` by the column `value`, except for its tests."""
    number = samples[value].to_numpy()
    inside = samples[group.rows]
    lift, low, high = lift_interval(number, group.rows)
    population = samples.filter(pl.col("label") == group.where["label"]) if "label" in group.where else samples
    facts: Facts = {
        "kind": group.kind,
        "n": len(inside),
        "population": len(population),
        "mean_loss": float(number[group.rows].mean()),
        "median_loss": float(np.median(number[group.rows])),
        "lift": lift,
        "lift_low": low,
        "lift_high": high,
        "severity": float((number[group.rows] - number.mean()).sum()),
        "splits": rows_of(_count_values(inside, "split"), SplitCount),
        "example_ids": inside.sort(value, "sample_id", descending=[True, False])["sample_id"].head(EXAMPLES).to_list(),
        **(_unlabeled(inside) if group.kind == "unlabeled" else _labelled(inside, density)),
    }
    name = _name(group, inside)
    return {
        **facts,
        "name": name,
        "sentence": _sentence(group, name, inside, facts),
        "action": _action(group, facts, density),
    }


def lift_interval(
    value: NDArray[np.float64], rows: NDArray[np.int64]
) -> tuple[float, float, float] | tuple[None, None, None]:
    """Mean of the rows over the overall mean, with a 95 % bootstrap interval over the rows; None if that mean is 0."""
    inside, overall = value[rows], value.mean()
    if overall == 0:
        return None, None, None
    low, high = bootstrap_mean_interval(inside)
    return float(inside.mean() / overall), float(low / overall), float(high / overall)


def _labelled(inside: pl.DataFrame, density: Density) -> _Counts:
    wrong = inside.filter(~pl.col("correct"))
    high = inside.filter(pl.col("loss") > HIGH_LOSS)
    return {
        "errors": len(wrong),
        "confusion": rows_of(_count_values(wrong, "label", "predicted"), ConfusionCount),
        "reasons": rows_of(_count_values(high.drop_nulls("reason"), "reason"), ReasonCount),
        **density.more_images(high),
    }


def _unlabeled(inside: pl.DataFrame) -> _Counts:
    """Counts without labels; `more_images` is how many members, highest first, hold half of the expected loss."""
    cumulative = inside["expected_loss"].sort(descending=True).to_numpy().cumsum()
    enough = int((cumulative < cumulative[-1] * MOSTLY).sum()) + 1
    return {**NO_MORE, "errors": None, "confusion": [], "reasons": [], "more_images": enough}


def _count_values(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Frequency of each combination of values, the most frequent first."""
    counts = frame.group_by(columns).agg(pl.len().cast(pl.Int64).alias("n"))
    return counts.sort("n", *columns, descending=[True, *(False for _ in columns)])


def _name(group: Group, inside: pl.DataFrame) -> str:
    """The group in words, a cluster by its classes: "Mostly cat (68 %) and dog (13 %): k-means group 3"."""
    if group.kind not in ("cluster", "unlabeled"):
        return group.name[:1].upper() + group.name[1:]
    return f"Mostly {_mix(group, inside)}: {group.name}"


def _mix(group: Group, inside: pl.DataFrame) -> str:
    column = "label" if group.kind == "cluster" else "predicted"
    most = _count_values(inside, column).head(2)
    return " and ".join(f"{value} ({percent(n / len(inside), 0)})" for value, n in most.iter_rows())


def _sentence(group: Group, name: str, inside: pl.DataFrame, facts: Facts) -> str:
    times = f"{facts['lift']:.1f} times the average (95 % interval {facts['lift_low']:.1f} to {facts['lift_high']:.1f})"
    n, population = facts["n"], facts["population"]
    if group.kind == "unlabeled":
        alike = f"{n:,} unlabeled images that the model sees alike, mostly as {_mix(group, inside)}"
        return f"{alike}, have an expected loss of {times}."
    if group.kind == "confusion":
        where = group.where
        return (
            f"{n:,} of {population:,} {where['label']} images are called {where['predicted']}; their loss is {times}."
        )
    top = next(iter(facts["confusion"]), None)
    called = f", most often {top['label']} called {top['predicted']} ({top['n']:,})" if top else ""
    wrong = f"{facts['errors']:,} of {n:,}"
    alike = (
        f"Of images that the model sees alike, mostly {_mix(group, inside)}," if group.kind == "cluster" else f"{name}:"
    )
    return f"{alike} {wrong} are wrong{called}; their loss is {times}."


def _action(group: Group, facts: Facts, density: Density) -> str:
    more, label = facts["more_images"], facts["more_label"]
    if group.kind == "unlabeled":
        return f"Label the {more:,} of highest expected loss first: they hold half of the group's."
    high = sum(reason["n"] for reason in facts["reasons"])
    doubtful = sum(reason["n"] for reason in facts["reasons"] if reason["reason"] == "doubtful label")
    if doubtful > MOSTLY * high:
        return f"Check the labels of the {doubtful:,} samples whose prediction and neighbours agree on another class."
    if more:
        return (
            f"Collect about {more:,} more {label} images like the hard ones: of the training images nearest "
            f"to those, {facts['near_other']:,} are of other classes and {facts['near_own']:,} of theirs."
        )
    if density.near.is_empty():
        return "Review the hard ones, those of highest loss first."
    return "Review the hard ones: the training images nearest to them are mostly of their own class already."


def two_digits(value: float) -> int:
    """Round to two significant digits, at least 1: an estimate, not a count."""
    digits = 1 - math.floor(math.log10(max(value, 1)))
    return max(1, int(round(value, min(0, digits))))
