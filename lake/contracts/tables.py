"""Contracts of all tables of the lake, the single source for writers, readers, docs and test data.

Tables of a run are keyed by `run_id`; `samples`, `images`, `properties`, `quarantine` and the user-written tables are
keyed by `dataset_id` and shared by runs.
Vectors are stored as `List`, not `Array`, because Delta cannot read an `Array` back.
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
from lake.contracts.runs import Attempts, Rejected, Runs
from lake.contracts.samples import Embeddings, Images, Predictions, Projection, Properties, Samples
from lake.contracts.views import Views

FORMAT_VERSION = 1
"""Incremented when a reader of the previous version would misread the lake."""

LOSS_KINDS = ["class", "cluster", "confusion", "slice", "unlabeled"]
DATA_KINDS = ["mislabeled", "leakage", "duplicate", "domain gap", "under-represented"]
SPACES = ["embedding", "umap"]
SEPARATION_MEASURES = ["probe", "purity", "margin", "silhouette"]
VIEWS = ["umap", "pca"]
FIDELITY_MEASURES = ["trustworthiness", "continuity", "neighbors_kept"]


class MapQuality(dy.Schema):
    """Fidelity of each two-dimensional view, with 95 % bootstrap intervals."""

    run_id = run_id_column()
    view = one_of(VIEWS, "View", primary_key=True)
    measure = one_of(FIDELITY_MEASURES, "Measure over the 15 nearest neighbours; 1 is faithful", primary_key=True)
    n = dy.Int64(min=1, description="Number of samples averaged.")
    value = float_column("Mean of the measure.", max=1.0001)
    low = float_column("Lower bound of the interval.", max=1.0001)
    high = float_column("Upper bound of the interval.", max=1.0001)


class Separation(dy.Schema):
    """Separation of groups on labelled held-out samples, with 95 % bootstrap intervals."""

    run_id = run_id_column()
    grouping = dy.String(primary_key=True, description="Grouping of the classes: superclass, or label itself.")
    space = one_of(SPACES, "Space, the embeddings or the map", primary_key=True)
    measure = one_of(SEPARATION_MEASURES, "Measure", primary_key=True)
    label = dy.String(primary_key=True, description="Class that the row is about; empty for all samples.")
    n = dy.Int64(min=1, description="Number of held-out samples averaged.")
    value = float_column(
        "Mean of the measure: accuracy of a linear probe; share of the 15 nearest neighbours in the same group; "
        "margin between the own and the nearest other centroid; silhouette.",
        min=-1.0001,
        max=1.0001,
    )
    low = float_column("Lower bound of the interval.", min=-1.0001, max=1.0001)
    high = float_column("Upper bound of the interval.", min=-1.0001, max=1.0001)
    chance = float_column("The value with shuffled groups; null for a class.", nullable=True, min=-1.0001, max=1.0001)


class Neighbors(dy.Schema):
    """The most similar samples of each sample, excluding itself."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    rank = dy.Int64(primary_key=True, min=1, description="1 is the most similar.")
    neighbor_id = dy.Int64(min=0, description="The similar sample.")
    similarity = float_column("Cosine similarity of the two embeddings.", min=-1.001, max=1.001)


class Findings(dy.Schema):
    """Ranked, tested findings: groups with a raised loss, unlabeled groups to label first, and data faults."""

    run_id = run_id_column()
    finding_id = dy.Int64(primary_key=True, min=1, description="Rank, confirmed findings first; 1 is the worst.")
    kind = one_of([*LOSS_KINDS, *DATA_KINDS], "What defines the group")
    name = dy.String(description="The group in words.")
    sentence = dy.String(description="The statement that is displayed.")
    n = dy.Int64(min=1, description="Samples in the group; only held-out ones if labelled.")
    population = dy.Int64(
        min=1, description="Samples in the population: the class of the group if it has one, otherwise all."
    )
    mean_loss = float_column(
        "Mean loss of the group in nats; the expected loss for unlabeled samples.", nullable=True, min=0
    )
    median_loss = float_column("Median loss of the group in nats.", nullable=True, min=0)
    lift = float_column(
        "Mean loss of the group divided by that of all such samples; for data faults, the count divided by that "
        "expected by chance, null if there is nothing to compare with.",
        nullable=True,
        min=0,
    )
    lift_low = float_column("Lower bound of the 95 % interval of the lift.", nullable=True, min=0)
    lift_high = float_column("Upper bound of the interval.", nullable=True, min=0)
    errors = dy.Int64(
        nullable=True,
        min=0,
        description="Number of wrong predictions in the group; null for unlabeled groups and data faults.",
    )
    p = float_column(
        "One-sided p on the half of the samples used for the search; null if not tested.", nullable=True, min=0, max=1
    )
    adjusted_p = float_column("p adjusted by Benjamini-Hochberg over all tests.", nullable=True, min=0, max=1)
    class_matched_p = float_column(
        "Permutation p against groups of the same class mix; null for classes and data faults.",
        nullable=True,
        min=0,
        max=1,
    )
    confirmed = dy.Bool(
        nullable=True,
        description="Whether p is also below 0.05 on the other half of the samples; null if that has too few.",
    )
    covered_by = dy.Int64(nullable=True, min=1, description="The worse finding that covers the same samples.")
    severity = float_column(
        "Excess loss summed over the group, in nats; determines the ranking; null for data faults.",
        nullable=True,
    )
    confusion = counts_of("label", "predicted")
    reasons = counts_of("reason")
    splits = counts_of("split")
    example_ids = dy.List(dy.Int64(), description="Samples of the group with the highest loss.")
    filter_ = dy.String(  # a class attribute `filter` would hide `Schema.filter`, which validates
        alias="filter", description="The filter that reproduces the group, as in the URL of a page."
    )
    action = dy.String(description="Recommended action.")
    more_images = dy.Int64(nullable=True, min=1, description="Number of images to collect, or to label first.")
    more_label = dy.String(nullable=True, description="Class of the images to collect.")
    near_own = dy.Int64(
        nullable=True,
        min=0,
        description="Training images of that class among the neighbours of the group's high-loss samples of the class.",
    )
    near_other = dy.Int64(nullable=True, min=0, description="Training images of other classes among these neighbours.")


class Training(dy.Schema):
    """Training telemetry, one row every few steps; epochs are fractional as image sizes grow."""

    run_id = run_id_column()
    step = dy.Int64(primary_key=True, min=1, description="Number of optimiser steps completed.")
    epoch = float_column("Passes over the training split.", min=0)
    resolution = dy.Int64(min=8, description="Side length of the training images in pixels.")
    loss = float_column("Mean label-smoothed cross-entropy since the previous row, in nats.", min=0)
    accuracy = float_column("Accuracy on augmented training images since the previous row.", min=0, max=1)
    learning_rate = float_column("Learning rate of the convolutions.", min=0)
    images_per_second = float_column("Training throughput since the previous row.", min=0)


class Dynamics(dy.Schema):
    """Training dynamics of each training sample, over all its (augmented) presentations."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    times_seen = dy.Int64(min=1, description="Number of times the sample was presented.")
    aum = float_column(
        "Area under the margin: mean difference between the logit of the label and the largest other logit."
    )
    confidence = float_column("Mean probability of the label.", min=0, max=1.0001)
    variability = float_column("Standard deviation of the probability of the label.", min=0)
    times_forgotten = dy.Int64(min=0, description="Number of times a correct prediction was followed by a wrong one.")


class Metrics(dy.Schema):
    """One number per row: headline figures, and seconds and peak memory of each stage."""

    run_id = run_id_column()
    stage = dy.String(primary_key=True, description="Stage that measured it.")
    name = dy.String(primary_key=True, description="Name of the metric, with its unit.")
    value = float_column("The value.")


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
    "attempts": Attempts,
}
SAMPLE_TABLES = ("samples", "images", "properties")
"""Tables of a dataset with one row per sample."""
DATASET_TABLES = (*SAMPLE_TABLES, "quarantine")
USER_TABLES = ("reviews", "views")
"""Tables that users write to."""
UNPINNED = ("runs", *USER_TABLES, "rejected", "attempts")
"""Tables that are read at their newest version."""
RUN_TABLES = tuple(name for name in TABLES if name not in (*UNPINNED, *DATASET_TABLES))


class ScoredSamples(dy.Collection):
    """The tables of a run that must cover the same samples.

    Of external predictions, some samples may have no embedding: these have a row in `predictions` alone.
    """

    predictions: dy.LazyFrame[Predictions]
    embeddings: dy.LazyFrame[Embeddings]
    projection: dy.LazyFrame[Projection]
    clusters: dy.LazyFrame[Clusters]
    neighbors: dy.LazyFrame[Neighbors]

    @dy.filter()
    def every_sample_with_an_embedding_is_measured_by_every_stage(self) -> pl.LazyFrame:
        keys = self.common_primary_key()
        methods = self.clusters.group_by(keys).agg(pl.col("method").n_unique())
        clustered = methods.filter(pl.col("method") == len(METHODS))
        everywhere: pl.LazyFrame = self.predictions.select(keys)
        nowhere: pl.LazyFrame = everywhere
        for frame in (self.embeddings, self.projection, clustered, self.neighbors):
            everywhere = everywhere.join(frame.select(keys).unique(), on=keys, how="semi")
        for frame in (self.embeddings, self.projection, self.clusters, self.neighbors):
            nowhere = nowhere.join(frame.select(keys), on=keys, how="anti")
        return pl.concat([everywhere, nowhere])


def key_column(table: str) -> str:
    """Return the column that partitions a table."""
    return "dataset_id" if table in (*DATASET_TABLES, *USER_TABLES) else "run_id"


def make_frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return a frame of rows without the partition key, with the types of the contract even if there are no rows."""
    columns = {name: column.dtype for name, column in TABLES[table].columns().items() if name != key_column(table)}
    return pl.DataFrame(rows, schema=columns)


def describe_tables() -> str:
    """Return the contracts of all tables as Markdown, for the docs."""
    parts = []
    for name, schema in TABLES.items():
        summary = (schema.__doc__ or "").splitlines()[0]
        rows = [
            f"| `{column}`{' *' if definition.primary_key else ''} | {definition.dtype} | {definition.description} |"
            for column, definition in schema.columns().items()
        ]
        parts.append("\n".join([f"**`{name}`** - {summary}\n", "| column | type | meaning |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)
