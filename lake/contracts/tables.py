"""Every table of the lake, declared once: writers, readers, docs and test data derive from here.

Tables of a run are keyed by `run_id`; `samples`, `images`, `properties` and `quarantine` by `dataset_id` and shared by
runs, as is what people say.
Lists of floats are lists, not arrays: Delta cannot scan an `Array` back.
"""

from typing import Any

import dataframely as dy
import polars as pl

from lake.contracts.clusters import METHODS, ClusterQuality, Clusters, ClusterSummaries
from lake.contracts.columns import (
    counts_of,
    float_column,
    one_of,
    run_id_column,
    sample_id_column,
)
from lake.contracts.loss_maps import LossMaps, MapFamilies, Models, PooledMaps, Proofs, SearchIndex
from lake.contracts.quality import Duplicates, LabelIssues, Quarantine, Reviews, Triage
from lake.contracts.runs import Rejected, Runs
from lake.contracts.samples import Embeddings, Images, Predictions, Projection, Properties, Samples
from lake.contracts.views import Views

FORMAT_VERSION = 1
"""Raised when a reader of the previous version would misread the lake."""

LOSS_KINDS = ["class", "cluster", "confusion", "slice", "unlabeled"]
DATA_KINDS = ["mislabeled", "leakage", "duplicate", "domain gap", "under-represented"]
SPACES = ["embedding", "umap"]
SEPARATION_MEASURES = ["probe", "purity", "margin", "silhouette"]
VIEWS = ["umap", "pca"]
FIDELITY_MEASURES = ["trustworthiness", "continuity", "neighbors_kept"]


class MapQuality(dy.Schema):
    """How far each two-dimensional view can be believed, with 95 % bootstrap intervals."""

    run_id = run_id_column()
    view = one_of(VIEWS, "View", primary_key=True)
    measure = one_of(FIDELITY_MEASURES, "What is measured at the 15 nearest; 1 is faithful", primary_key=True)
    n = dy.Int64(min=1, description="Samples it is the mean of.")
    value = float_column("The mean.", max=1.0001)
    low = float_column("Lower end of the interval.", max=1.0001)
    high = float_column("Upper end of the interval.", max=1.0001)


class Separation(dy.Schema):
    """How far groups lie apart, on labelled held-out samples, with 95 % bootstrap intervals."""

    run_id = run_id_column()
    grouping = dy.String(primary_key=True, description="What the classes are grouped by: superclass, or label itself.")
    space = one_of(SPACES, "Space: the embeddings or the map", primary_key=True)
    measure = one_of(SEPARATION_MEASURES, "What is measured", primary_key=True)
    label = dy.String(primary_key=True, description="The class the row is of; empty for all samples.")
    n = dy.Int64(min=1, description="Held-out samples it is the mean of.")
    value = float_column(
        "Mean of: named right by a linear probe; share of the 15 nearest of the same group; "
        "margin between the own and the nearest other centroid; silhouette.",
        min=-1.0001,
        max=1.0001,
    )
    low = float_column("Lower end of the interval.", min=-1.0001, max=1.0001)
    high = float_column("Upper end of the interval.", min=-1.0001, max=1.0001)
    chance = float_column(
        "The value with the groups shuffled; null for a class.", nullable=True, min=-1.0001, max=1.0001
    )


class Neighbors(dy.Schema):
    """The most similar samples of each sample, itself left out."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    rank = dy.Int64(primary_key=True, min=1, description="1 is the most similar.")
    neighbor_id = dy.Int64(min=0, description="The similar sample.")
    similarity = float_column("Cosine of the two embeddings.", min=-1.001, max=1.001)


class Findings(dy.Schema):
    """Ranked, tested statements: groups whose loss is raised, unlabeled ones to label first, faults of the data."""

    run_id = run_id_column()
    finding_id = dy.Int64(primary_key=True, min=1, description="Rank: 1 is the worst, confirmed ones first.")
    kind = one_of([*LOSS_KINDS, *DATA_KINDS], "What makes the group")
    name = dy.String(description="The group in words.")
    sentence = dy.String(description="The statement shown to people.")
    n = dy.Int64(min=1, description="Samples in the group; held-out ones where labelled.")
    population = dy.Int64(min=1, description="Samples it is a part of: its class where it has one, else all.")
    mean_loss = float_column(
        "Mean loss of the group in nats; of unlabeled samples the expected one.", nullable=True, min=0
    )
    median_loss = float_column("Median of it.", nullable=True, min=0)
    lift = float_column(
        "Mean loss of the group over that of all such samples; of a fault of the data what was counted over what "
        "chance gives, null where there is nothing to compare with.",
        nullable=True,
        min=0,
    )
    lift_low = float_column("Lower end of its 95 % interval.", nullable=True, min=0)
    lift_high = float_column("Upper end of it.", nullable=True, min=0)
    errors = dy.Int64(nullable=True, min=0, description="Wrong predictions in the group; null if not about them.")
    p = float_column(
        "One-sided p on the half of the samples it was found on; null if counted only.", nullable=True, min=0, max=1
    )
    adjusted_p = float_column("After Benjamini-Hochberg over everything tested.", nullable=True, min=0, max=1)
    class_matched_p = float_column(
        "Permutation p against groups of the same class mix; null for classes and faults of the data.",
        nullable=True,
        min=0,
        max=1,
    )
    confirmed = dy.Bool(
        nullable=True, description="Again below 0.05 on the other half of the samples; null where that has too few."
    )
    covered_by = dy.Int64(nullable=True, min=1, description="The worse finding that is about the same samples.")
    severity = float_column(
        "Loss above expectation summed over the group, in nats: the order of the list; null for faults of the data.",
        nullable=True,
    )
    confusion = counts_of("label", "predicted")
    reasons = counts_of("reason")
    splits = counts_of("split")
    example_ids = dy.List(dy.Int64(), description="Its samples of highest loss.")
    filter_ = dy.String(  # a class attribute `filter` would hide `Schema.filter`, which validates
        alias="filter", description="The filter that reproduces the group, as in a page's address."
    )
    action = dy.String(description="What to do about it.")
    more_images = dy.Int64(nullable=True, min=1, description="How many to collect, or to label, first.")
    more_label = dy.String(nullable=True, description="Of which class to collect.")
    near_own = dy.Int64(
        nullable=True, min=0, description="Training images of that class among the nearest of its members of high loss."
    )
    near_other = dy.Int64(nullable=True, min=0, description="Those of other classes.")


class Training(dy.Schema):
    """Telemetry of the training, a row every few steps; epochs are fractional as image sizes grow."""

    run_id = run_id_column()
    step = dy.Int64(primary_key=True, min=1, description="Optimiser steps done.")
    epoch = float_column("Passes over the training split.", min=0)
    resolution = dy.Int64(min=8, description="Side of the training images in pixels.")
    loss = float_column("Mean smoothed cross-entropy since the last row, in nats.", min=0)
    accuracy = float_column("Share right on augmented training images since the last row.", min=0, max=1)
    learning_rate = float_column("Rate of the convolutions.", min=0)
    images_per_second = float_column("Training speed since the last row.", min=0)


class Dynamics(dy.Schema):
    """How each training sample was learnt, over every time training showed it (augmented)."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    times_seen = dy.Int64(min=1, description="How often training showed it.")
    aum = float_column("Area under the margin: mean logit of the label minus the largest other one.")
    confidence = float_column("Mean probability of the label.", min=0, max=1.0001)
    variability = float_column("Standard deviation of that probability.", min=0)
    times_forgotten = dy.Int64(min=0, description="How often it was wrong right after having been right.")


class Metrics(dy.Schema):
    """One number a row: headline figures, seconds and peak memory of each stage."""

    run_id = run_id_column()
    stage = dy.String(primary_key=True, description="Stage that measured it.")
    name = dy.String(primary_key=True, description="What is measured, with its unit.")
    value = float_column("The number.")


TABLES: dict[str, type[dy.Schema]] = {
    "runs": Runs,
    "samples": Samples,
    "images": Images,
    "properties": Properties,
    "quarantine": Quarantine,
    "predictions": Predictions,
    "embeddings": Embeddings,
    "projection": Projection,
    "map_quality": MapQuality,
    "separation": Separation,
    "clusters": Clusters,
    "cluster_quality": ClusterQuality,
    "cluster_summaries": ClusterSummaries,
    "neighbors": Neighbors,
    "loss_maps": LossMaps,
    "map_families": MapFamilies,
    "pooled_maps": PooledMaps,
    "triage": Triage,
    "duplicates": Duplicates,
    "label_issues": LabelIssues,
    "findings": Findings,
    "training": Training,
    "dynamics": Dynamics,
    "models": Models,
    "search_index": SearchIndex,
    "proofs": Proofs,
    "metrics": Metrics,
    "reviews": Reviews,
    "views": Views,
    "rejected": Rejected,
}
SAMPLE_TABLES = ("samples", "images", "properties")
"""Tables of a dataset with a row of every sample."""
DATASET_TABLES = (*SAMPLE_TABLES, "quarantine")
SAID_TABLES = ("reviews", "views")
"""Tables that people write to."""
UNPINNED = ("runs", *SAID_TABLES, "rejected")
"""Tables that are read as they are now."""
RUN_TABLES = tuple(name for name in TABLES if name not in (*UNPINNED, *DATASET_TABLES))


class ScoredSamples(dy.Collection):
    """The tables of a run that speak of the same samples."""

    predictions: dy.LazyFrame[Predictions]
    embeddings: dy.LazyFrame[Embeddings]
    projection: dy.LazyFrame[Projection]
    clusters: dy.LazyFrame[Clusters]
    neighbors: dy.LazyFrame[Neighbors]

    @dy.filter()
    def every_sample_is_measured_by_every_stage(self) -> pl.LazyFrame:
        keys = self.common_primary_key()
        methods = self.clusters.group_by(keys).agg(pl.col("method").n_unique())
        clustered = methods.filter(pl.col("method") == len(METHODS))
        frames = (self.embeddings, self.projection, clustered, self.neighbors)
        found: pl.LazyFrame = self.predictions.select(keys)
        for frame in frames:
            found = found.join(frame.select(keys).unique(), on=keys, how="semi")
        return found


def key_column(table: str) -> str:
    """The column a table is partitioned by."""
    return "dataset_id" if table in (*DATASET_TABLES, *SAID_TABLES) else "run_id"


def make_frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of a table but for its partition key, with the contract's types even when there are none."""
    columns = {name: column.dtype for name, column in TABLES[table].columns().items() if name != key_column(table)}
    return pl.DataFrame(rows, schema=columns)


def describe_tables() -> str:
    """The tables as Markdown, for the docs."""
    parts = []
    for name, schema in TABLES.items():
        summary = (schema.__doc__ or "").splitlines()[0]
        rows = [
            f"| `{column}`{' *' if definition.primary_key else ''} | {definition.dtype} | {definition.description} |"
            for column, definition in schema.columns().items()
        ]
        parts.append("\n".join([f"**`{name}`** - {summary}\n", "| column | type | meaning |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)
