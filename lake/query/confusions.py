"""Confusions of more classes than a matrix can show: the cells of the class in question, and of those near to it."""

import polars as pl

from lake.query.pivots import FEW
from lake.query.queries import WRONG


def of_enough_samples(report: pl.DataFrame) -> pl.DataFrame:
    """The rows of `lake.query.queries.class_report` of as many samples as can be read; all where none has them."""
    enough = report.filter(pl.col("n") >= FEW)
    return enough if len(enough) else report


def confused_with(cells: pl.DataFrame, label: str, most: int) -> list[str]:
    """A class, then those that it is called or that are called it most often, at most so many in all."""
    own = cells.filter(WRONG, (pl.col("label") == label) | (pl.col("predicted") == label))
    other = pl.when(pl.col("label") == label).then("predicted").otherwise("label")
    counted = own.group_by(other.alias("other")).agg(pl.col("n").sum())
    ranked = counted.sort("n", "other", descending=[True, False])["other"].head(most - 1)
    return [label, *ranked]


def most_changed(cells: pl.DataFrame, most: int) -> list[str]:
    """Of the cells of `lake.query.queries.confusion_difference` the classes of those wrong ones that changed most."""
    change = (pl.col("n") - pl.col("n_before")).abs()
    ranked = cells.filter(WRONG).sort(change, "label", "predicted", descending=[True, False, False])
    pairs = ranked.select("label", "predicted").iter_rows()
    return list(dict.fromkeys(name for pair in pairs for name in pair))[:most]


def among(cells: pl.DataFrame, classes: list[str]) -> pl.DataFrame:
    """The cells whose label and prediction are both of these."""
    return cells.filter(pl.col("label").is_in(classes), pl.col("predicted").is_in(classes))
