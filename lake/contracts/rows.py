"""Typed dictionaries for the table rows that pages work with.

Each mirrors the contract of its table; `tests/lake/contracts/test_rows.py` checks this.
"""

from datetime import datetime
from typing import TypedDict, TypeVar, cast, get_type_hints

import polars as pl

Row = TypeVar("Row")


def rows_of(frame: pl.DataFrame, kind: type[Row]) -> list[Row]:
    """Return the rows of a frame as typed dictionaries of type `kind`; further columns are allowed.

    Raises `ValueError` if the frame lacks a column of `kind`.
    """
    if lacking := sorted(get_type_hints(kind).keys() - set(frame.columns)):
        raise ValueError(f"the frame lacks columns of {kind.__name__}: {', '.join(lacking)}")
    return cast("list[Row]", frame.rows(named=True))


def first_row(frame: pl.DataFrame, kind: type[Row]) -> Row | None:
    """Return the first row; None if the frame is empty."""
    return next(iter(rows_of(frame.head(1), kind)), None)


class LabelCount(TypedDict):
    """Number of samples with a label."""

    label: str
    n: int


class ConfusionCount(TypedDict):
    """Number of samples of a label that are predicted as another class."""

    label: str
    predicted: str
    n: int


class ReasonCount(TypedDict):
    """Number of samples whose loss is high for a reason."""

    reason: str
    n: int


class SplitCount(TypedDict):
    """Number of samples of a split."""

    split: str
    n: int


class FindingRow(TypedDict):
    """A row of the table `findings`."""

    run_id: str
    finding_id: int
    kind: str
    name: str
    sentence: str
    n: int
    population: int
    mean_loss: float | None
    median_loss: float | None
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    errors: int | None
    p: float | None
    adjusted_p: float | None
    class_matched_p: float | None
    confirmed: bool | None
    covered_by: int | None
    severity: float | None
    confusion: list[ConfusionCount]
    reasons: list[ReasonCount]
    splits: list[SplitCount]
    example_ids: list[int]
    filter: str
    action: str
    more_images: int | None
    more_label: str | None
    near_own: int | None
    near_other: int | None


class LabelIssueRow(TypedDict):
    """A row of the table `label_issues`."""

    run_id: str
    sample_id: int
    kind: str
    rank: int
    label: str
    likely: str
    score: float
    self_confidence: float
    likely_confidence: float
    neighbor_share: float | None
    likely_neighbor_share: float | None
    aum: float | None
    expected_precision: float | None


class ReviewRow(TypedDict):
    """A row of the table `reviews`."""

    dataset_id: str
    review_id: str
    sample_id: int
    verdict: str
    label: str | None
    note: str
    reviewer: str
    reviewed_at: datetime
    undoes: str | None
    run_id: str | None


class LossMapRow(TypedDict):
    """A row of the table `loss_maps`."""

    run_id: str
    sample_id: int
    layer: str
    target: str
    height: int
    width: int
    values: list[float]
    max_abs: float
    loss: float | None
    loss_without_red: float | None
    loss_without_blue: float | None
    loss_without_other: float | None


class PooledMapRow(TypedDict):
    """A row of the table `pooled_maps`."""

    run_id: str
    filter: str
    layer: str
    name: str
    n: int
    height: int
    width: int
    values: list[float]
    border_area: float
    border_share: float
    border_low: float
    border_high: float
    others: str
    others_filter: str
    others_n: int
    others_share: float
    others_low: float
    others_high: float
    adjusted_p: float


class DuplicateRow(TypedDict):
    """A row of the table `duplicates`."""

    run_id: str
    sample_id: int
    duplicate_id: int
    tier: str
    correlation: float
    leak: bool


class SeparationRow(TypedDict):
    """A row of the table `separation`."""

    run_id: str
    grouping: str
    space: str
    measure: str
    label: str
    n: int
    value: float
    low: float
    high: float
    chance: float | None


class ProofRow(TypedDict):
    """A row of the table `proofs`."""

    run_id: str
    subject: str
    proof: str
    claim: str
    n: int
    value: float | None
    low: float | None
    high: float | None
    rule: str
    bar: float
    holds: bool | None


class ClusterSummaryRow(TypedDict):
    """A row of the table `cluster_summaries`."""

    run_id: str
    method: str
    cluster: int
    n: int
    n_held_out: int
    class_mix: list[LabelCount]
    mean_loss: float | None
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    adjusted_p: float | None
    stability: float | None
    description: str
    medoids: list[int]


class ViewRow(TypedDict):
    """A row of the table `views`."""

    dataset_id: str
    view_id: str
    name: str
    filter: str
    columns: str
    sort: str
    pivot: str
    note: str
    saved_by: str
    saved_at: datetime
    undoes: str | None
    run_id: str | None


class SampleRow(TypedDict):
    """A row of `scan_samples` without the columns of groupings and of the source."""

    sample_id: int
    split: str
    label: str | None
    predicted: str
    correct: bool | None
    loss: float | None
    confidence: float
    expected_loss: float
    entropy: float | None
    margin: float
    out_of_sample: bool
    source_name: str
    x: float | None
    y: float | None
    neighbors_kept: float | None
    pca_x: float | None
    pca_y: float | None
    bg_lightness: float | None
    bg_plainness: float | None
    bg_chroma: float | None
    object_lightness: float | None
    shade: float | None
    object_chroma: float | None
    object_hue: float | None
    contrast: float | None
    sharpness: float | None
    edge_density: float | None
    cluster_kmeans: int | None
    cluster_bisecting: int | None
    cluster_hdbscan: int | None
    reason: str | None
    duplicate: str | None
    leak: bool
    map_family: int | None
