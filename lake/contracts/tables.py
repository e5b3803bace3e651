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
    IMAGE,
    LATENT,
    MODEL,
    SAMPLE,
    Use,
    counts_of,
    dataset_id_column,
    float_column,
    one_of,
    run_id_column,
    sample_id_column,
)
from lake.contracts.loss_maps import LossMaps, MapFamilies, Models, PooledMaps, Proofs, SearchIndex
from lake.contracts.quality import Duplicates, LabelIssues, Quarantine, Reviews, Triage
from lake.contracts.runs import Rejected, Runs
from lake.contracts.views import Views

FORMAT_VERSION = 1
"""Raised when a reader of the previous version would misread the lake."""

SPLITS = ["train", "validation", "test", "unlabeled"]
LOSS_KINDS = ["class", "cluster", "confusion", "slice", "unlabeled"]
DATA_KINDS = ["mislabeled", "leakage", "duplicate", "domain gap", "under-represented"]
SPACES = ["embedding", "umap"]
SEPARATION_MEASURES = ["probe", "purity", "margin", "silhouette"]
VIEWS = ["umap", "pca"]
FIDELITY_MEASURES = ["trustworthiness", "continuity", "neighbors_kept"]


class Samples(dy.Schema):
    """Every image of a dataset with its split, label and groups."""

    dataset_id = dataset_id_column()
    sample_id = sample_id_column()
    split = one_of(SPLITS, "Part of the dataset", use=Use(SAMPLE, shown=6, colors=True))
    label = dy.String(
        nullable=True,
        description="Given class; null where the label is withheld.",
        metadata=Use(SAMPLE, shown=1, colors=True).metadata,
    )
    groups = dy.List(
        dy.Struct({"name": dy.String(), "value": dy.String(nullable=True)}),
        description="What the class counts as, for example superclass = vehicle.",
    )
    source_name = dy.String(
        description="Position in the official batches (train/17, test/42), or path in the source.",
        metadata=Use(SAMPLE, axis=False).metadata,
    )
    sha256 = dy.String(
        min_length=64, max_length=64, description="Hash of the pixels; of the name, where there is no image."
    )
    metadata = dy.List(
        dy.Struct({"name": dy.String(), "value": dy.String(nullable=True), "number": dy.Float64(nullable=True)}),
        nullable=True,
        description="Columns of the source that are carried along, in the order of `runs.metadata`.",
    )


class Images(dy.Schema):
    """The encoded image of every sample."""

    dataset_id = dataset_id_column()
    sample_id = sample_id_column()
    png = dy.Binary(description="The image as PNG.")
    width = dy.Int64(min=1, description="Pixels.")
    height = dy.Int64(min=1, description="Pixels.")
    original = dy.Binary(
        nullable=True,
        description="The whole picture as it came, PNG or JPEG; null where that is the image itself or none was kept.",
    )
    original_width = dy.Int64(
        nullable=True,
        min=1,
        description="Pixels of the image in the source; null where `original` is.",
    )
    original_height = dy.Int64(nullable=True, min=1, description="The same.")


OF_IMAGES = Use(IMAGE, colors=True, sizes=True)


class Properties(dy.Schema):
    """Measured image properties in CIELAB (sRGB, D65); background = border ring, object = centre: a proxy."""

    dataset_id = dataset_id_column()
    sample_id = sample_id_column()
    bg_lightness = float_column("Median L* of the border ring, 0 black to 100 white.", use=OF_IMAGES, min=0, max=101)
    bg_plainness = float_column("Standard deviation of L* in the ring; 0 is one flat tone.", use=OF_IMAGES, min=0)
    bg_chroma = float_column("Mean chroma of the ring; 0 is grey.", use=OF_IMAGES, min=0)
    object_lightness = float_column("Median L* of the centre.", use=OF_IMAGES, min=0, max=101)
    shade = float_column("Lightness of the centre minus that of the ring; negative is a darker object.", use=OF_IMAGES)
    object_chroma = float_column("Mean chroma of the centre; 0 is grey.", use=OF_IMAGES, min=0)
    object_hue = float_column(
        "Hue of the centre in degrees; null where its chroma is below 10.", use=OF_IMAGES, nullable=True, min=0, max=360
    )
    contrast = float_column("Standard deviation of L* over the image.", use=OF_IMAGES, min=0)
    sharpness = float_column("Variance of the Laplacian of L*; low is blurred.", use=OF_IMAGES, min=0)
    edge_density = float_column("Share of pixels with a strong lightness gradient.", use=OF_IMAGES, min=0, max=1)


class Predictions(dy.Schema):
    """What the classifier says of each scored sample, after temperature scaling."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    predicted = dy.String(description="Most probable class.", metadata=Use(MODEL, shown=2, colors=True).metadata)
    confidence = float_column(
        "Probability of the predicted class.",
        min=0,
        max=1.0001,
        use=Use(MODEL, shown=5, colors=True, sizes=True, dots=(0.0, 1.0)),
    )
    probabilities = dy.List(dy.Float32(), description="Calibrated probability of each class of `runs.classes`.")
    logits = dy.List(dy.Float32(), description="Raw outputs of the classifier, before temperature scaling.")
    loss = float_column(
        "Cross-entropy of the given label in nats; 0 is certain and right; null if unlabeled.",
        nullable=True,
        min=0,
        use=Use(MODEL, shown=4, colors=True, sizes=True, unit="nats", logarithmic=True, dots=(0.0, 8.0)),
    )
    raw_loss = float_column("The same before temperature scaling.", nullable=True, min=0)
    expected_loss = float_column(
        "Entropy of the probabilities in nats: the loss to expect without a label.",
        min=0,
        use=Use(MODEL, colors=True, sizes=True, unit="nats", logarithmic=True, dots=(0.0, 2.3)),
    )
    entropy = float_column(
        "The same as a share of the largest there can be among the classes: 0 is sure, 1 any class alike; null for a "
        "run from before it was measured.",
        nullable=True,
        min=0,
        max=1.0001,
        use=Use(MODEL, colors=True, sizes=True, dots=(0.0, 1.0)),
    )
    margin = float_column(
        "Probability of the first class minus that of the second.",
        min=0,
        max=1.0001,
        use=Use(MODEL, colors=True, sizes=True),
    )
    correct = dy.Bool(
        nullable=True,
        description="Whether the prediction equals the label; null if unlabeled.",
        metadata=Use(MODEL, shown=3, colors=True).metadata,
    )
    out_of_sample = dy.Bool(
        description="False where the scoring model was trained on the sample.",
        metadata=Use(MODEL, shown=7, axis=False).metadata,
    )
    fold = dy.Int64(
        nullable=True, min=1, description="Model that scored a training sample it never saw; null for the main model."
    )
    temperature = float_column("What the logits are divided by before the softmax.", min=0)


class Embeddings(dy.Schema):
    """The features before the classifier."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    embedding = dy.List(dy.Float32(), description="Features of timm's forward_head(pre_logits=True).")


PLACE = Use(LATENT, axis=False)


class Projection(dy.Schema):
    """Where each sample lies on the 2-D map."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    x = float_column("First UMAP coordinate; no unit.", use=PLACE)
    y = float_column("Second UMAP coordinate; no unit.", use=PLACE)
    neighbors_kept = float_column(
        "Share of the 15 nearest in latent space that are among the 15 nearest on the map.",
        min=0,
        max=1,
        use=Use(LATENT, colors=True, sizes=True),
    )
    pca_x = float_column("First principal component of the embeddings at unit length.", nullable=True, use=PLACE)
    pca_y = float_column("Second principal component.", nullable=True, use=PLACE)


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
        nullable=True, description="Again below .05 on the other half of the samples; null where that has too few."
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
