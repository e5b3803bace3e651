"""Candidate groups of samples that are tested for a raised loss: classes, clusters, confusions and slices.

A slice restricts a class, or all samples, to one end of an image property, to a hue, to a cluster, or to a value or one
end of a source column.
The candidates depend only on what was measured, never on the loss.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.comparison.differences import HUES, PROPERTY_WORDING
from lake.contracts.clusters import METHODS
from lake.query.filters import Clause, Filters
from lake.query.integers import is_measure
from lake.query.joined_samples import cluster_column
from lake.query.queries import GROUPS_AT_MOST
from lake.text.formatting import percent

ENDS = (0.02, 0.05, 0.2)
"""Shares of the samples at the lower and the upper end of a property."""
METHOD_NAMES = {"kmeans": "k-means", "bisecting": "bisecting k-means", "hdbscan": "HDBSCAN"}


@dataclass(frozen=True)
class Group:
    """Samples where every column of `where` has the given value and every column of `between` is in the given range."""

    kind: str
    name: str
    rows: NDArray[np.int64]
    """Row numbers in the frame that the group was made from."""
    where: dict[str, str | int] = field(default_factory=dict)
    between: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def filters(self) -> Filters:
        """The filter that reproduces the group among the samples it was made from."""
        filters = Filters.of(**{column: str(value) for column, value in self.where.items()})
        for column, ends in self.between.items():
            filters = filters.with_clause(Clause(column=column, op="between", values=tuple(map(repr, ends))))
        return filters


def model_free_groups(samples: pl.DataFrame, *, at_least: int) -> list[Group]:
    """Groups that need no model: the classes, and the slices of all images and of each class by image property."""
    rows = samples.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    groups = [*_classes(rows), *_slices(rows, {}, "Images")]
    for label in rows["label"].unique().sort().to_list():
        groups += _slices(rows.filter(pl.col("label") == label), {"label": label}, f"{label.capitalize()} images")
    return [group for group in groups if len(group.rows) >= at_least]


def all_groups(samples: pl.DataFrame, *, at_least: int, source_columns: Sequence[str] = ()) -> list[Group]:
    """Every group of labelled samples with at least `at_least` members.

    `samples` is the result of `scan_samples`; `source_columns` lists its columns that come from the
    source.
    """
    rows = samples.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    labels = rows["label"].unique().sort().to_list()
    groups = [*cluster_groups(rows), *_confusions(rows), *_of_source(rows, source_columns, {}, "Images")]
    for label in labels:
        of_class = rows.filter(pl.col("label") == label)
        groups += _in_clusters(of_class, label)
        groups += _of_source(of_class, source_columns, {"label": label}, f"{label.capitalize()} images")
    return [*model_free_groups(samples, at_least=at_least), *(g for g in groups if len(g.rows) >= at_least)]


def cluster_groups(rows: pl.DataFrame) -> Iterator[Group]:
    """Every cluster of every method; `rows` must have a column `row`."""
    for method in METHODS:
        column = cluster_column(method)
        for number, members in _members_by_value(rows, column):
            yield Group("cluster", f"{METHOD_NAMES[method]} group {number}", members, {column: number})


def _classes(rows: pl.DataFrame) -> Iterator[Group]:
    for label, members in _members_by_value(rows, "label"):
        yield Group("class", f"{label} images", members, {"label": label})


def _confusions(rows: pl.DataFrame) -> Iterator[Group]:
    for label, _ in _members_by_value(rows, "label"):
        wrong = rows.filter(pl.col("label") == label, pl.col("predicted") != label)
        for predicted, members in _members_by_value(wrong, "predicted"):
            where: dict[str, str | int] = {"label": label, "predicted": predicted}
            yield Group("confusion", f"{label} images called {predicted}", members, where)


def _in_clusters(rows: pl.DataFrame, label: str) -> Iterator[Group]:
    for group in cluster_groups(rows):
        yield Group("slice", f"{label} images in {group.name}", group.rows, {"label": label, **group.where})


def _slices(rows: pl.DataFrame, where: dict[str, str | int], subject: str) -> Iterator[Group]:
    """Slices at the ends of every property, and by hue."""
    for column, words in PROPERTY_WORDING.items():
        yield from _ends(rows, column, words, where, subject)
    for hue, (low, high) in HUES.items():
        of_hue = rows.filter(pl.col("object_hue").is_between(low, high, closed="left")).select("row", "object_hue")
        if len(of_hue):
            hues = of_hue["object_hue"].to_numpy()
            ends = (float(hues.min()), float(hues.max()))
            yield Group("slice", f"{subject} with {hue} objects", of_hue["row"].to_numpy(), where, {"object_hue": ends})


def _of_source(
    rows: pl.DataFrame, source_columns: Sequence[str], where: dict[str, str | int], subject: str
) -> Iterator[Group]:
    """Slices by source column: the ends of numbers, and each value of texts and ids."""
    for column in source_columns:
        words = column.replace("_", " ")
        if is_measure(rows[column]):
            yield from _ends(rows, column, (f"low {words}", f"high {words}"), where, subject)
        elif rows[column].n_unique() <= GROUPS_AT_MOST:
            for value, members in _members_by_value(rows, column):
                yield Group("slice", f"{subject} with {words} {value}", members, {**where, column: value})


def _ends(
    rows: pl.DataFrame, column: str, words: Sequence[str], where: dict[str, str | int], subject: str
) -> Iterator[Group]:
    column_rows = rows.select("row", column).drop_nulls()
    index, values = column_rows["row"].to_numpy(), column_rows[column].to_numpy()
    for (share, i), (low, high) in _tails(np.sort(values)).items():
        inside = (values >= low) & (values <= high)
        end = (high, low)[i].item()
        limit = f"{'up to' if i == 0 else 'from'} {end if isinstance(end, int) else f'{end:.3g}'}"
        name = f"{subject} with {words[i]} (the {percent(share, 0)} {('lowest', 'highest')[i]}, {limit})"
        yield Group("slice", name, index[inside], where, {column: (low.item(), high.item())})


def _tails(ordered: NDArray[Any]) -> dict[tuple[float, int], tuple[Any, Any]]:
    """Bounds of each share at the lower (0) and the upper end (1); only the first if ties make bounds equal."""
    tails: dict[tuple[float, int], tuple[Any, Any]] = {}
    for share in ENDS if len(ordered) else ():
        count = max(1, round(share * len(ordered)))
        for i, bounds in enumerate(((ordered[0], ordered[count - 1]), (ordered[-count], ordered[-1]))):
            if bounds not in tails.values():
                tails[share, i] = bounds
    return tails


def _members_by_value(rows: pl.DataFrame, column: str) -> Iterator[tuple[str | int, NDArray[np.int64]]]:
    """Each value of a column with its rows, ordered by value."""
    for value, members in rows.drop_nulls(column).group_by(column, maintain_order=True).agg("row").sort(column).rows():
        yield value, np.array(members, dtype=np.int64)
