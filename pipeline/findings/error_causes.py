"""Explain why the loss of a sample is high, by the first of five fixed rules that applies.

A loss is high above ln 2, where the model gives the label a probability below 0.5. Shares are over the labelled samples
among the stored neighbours; quantiles are over the held-out samples.
"""

import math

import polars as pl

from lake.contracts.quality import REASONS
from lake.contracts.tables import make_frame
from lake.query.queries import HELD_OUT

HIGH_LOSS = math.log(2)
CONFIDENT, NEIGHBORS_AGREE, TWO_CLASSES = 0.95, 0.95, 0.8
FAR_QUANTILE, POOR_QUANTILE = 0.05, 0.02


def sort_out(samples: pl.DataFrame, neighbors: pl.DataFrame) -> pl.DataFrame:
    """The table `triage` without the column run_id: the reason for each high held-out loss, with the evidence."""
    held_out = samples.filter(HELD_OUT).join(_surroundings(samples, neighbors), on="sample_id", how="left")
    reason = pl.coalesce(*(pl.when(rule).then(pl.lit(name)) for name, rule in _rules().items()))
    high = held_out.with_columns(reason.alias("reason")).filter(pl.col("loss") > HIGH_LOSS)
    assert set(high["reason"]) <= set(REASONS)
    columns = make_frame("triage", []).columns
    return high.select(columns).cast({"label_share": pl.Float64, "predicted_share": pl.Float64})


def _rules() -> dict[str, pl.Expr]:
    """The rule for each reason, in the order in which they are tried."""
    own, second = (-pl.col("loss")).exp(), pl.col("confidence") - pl.col("margin")
    is_second = (own - second).abs() < 1e-3
    poor = [_at_most(name, POOR_QUANTILE) for name in ("sharpness", "contrast")]
    return {
        "doubtful label": ~pl.col("correct")
        & (pl.col("confidence") >= CONFIDENT)
        & (pl.col("predicted_share") >= NEIGHBORS_AGREE),
        "image quality": pl.any_horizontal(poor),
        "far from others": _at_most("similarity", FAR_QUANTILE),
        "look-alike class": (pl.col("correct") | is_second) & (pl.col("confidence") + second >= TWO_CLASSES),
        "unsure": pl.lit(value=True),
    }


def _at_most(column: str, quantile: float) -> pl.Expr:
    """Whether a value is at or below the given quantile; null if it was not measured."""
    return pl.col(column) <= pl.col(column).quantile(quantile)


def _surroundings(samples: pl.DataFrame, neighbors: pl.DataFrame) -> pl.DataFrame:
    """For each sample, the shares of its label and prediction among its neighbours, and the highest similarity."""
    labels = samples.select("sample_id", "label")
    near = neighbors.join(labels.rename({"sample_id": "neighbor_id", "label": "near_label"}), on="neighbor_id")
    near = near.join(samples.select("sample_id", "label", "predicted"), on="sample_id")
    return near.group_by("sample_id").agg(
        (pl.col("near_label") == pl.col("label")).mean().alias("label_share"),
        (pl.col("near_label") == pl.col("predicted")).mean().alias("predicted_share"),
        pl.col("similarity").max(),
    )
