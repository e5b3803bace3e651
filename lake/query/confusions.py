"""Choice of the classes to show when a confusion matrix would have too many."""

import polars as pl

from lake.query.pivots import FEW
from lake.query.queries import WRONG


def of_enough_samples(report: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `lake.query.queries.class_report` with at least `FEW` samples; all rows if there are none."""
    frequent = report.filter(pl.col("n") >= FEW)
    return frequent if len(frequent) else report


def confused_with(cells: pl.DataFrame, label: str, most: int) -> list[str]:
    """Return a class followed by those that it is most often confused with, in either direction; `most` in total."""
    own = cells.filter(WRONG, (pl.col("label") == label) | (pl.col("predicted") == label))
    other = pl.when(pl.col("label") == label).then("predicted").otherwise("label")
    counts = own.group_by(other.alias("other")).agg(pl.col("n").sum())
    ranked = counts.sort("n", "other", descending=[True, False])["other"].head(most - 1)
    return [label, *ranked]


def most_changed(cells: pl.DataFrame, most: int) -> list[str]:
    """Return the classes of the wrong cells of `lake.query.queries.confusion_difference` that changed most."""
    change = (pl.col("n") - pl.col("n_before")).abs()
    ranked = cells.filter(WRONG).sort(change, "label", "predicted", descending=[True, False, False])
    pairs = ranked.select("label", "predicted").iter_rows()
    return list(dict.fromkeys(name for pair in pairs for name in pair))[:most]


def among(cells: pl.DataFrame, classes: list[str]) -> pl.DataFrame:
    """Return the cells whose label and prediction are both in `classes`."""
    return cells.filter(pl.col("label").is_in(classes), pl.col("predicted").is_in(classes))
