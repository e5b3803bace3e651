"""Every table of the lake, declared once: writers, readers, the README and test data derive from here.

Tables of a run are keyed by `run_id`; `samples`, `images` and `properties` by `dataset_id` and shared by runs.
Lists of floats are lists, not arrays: Delta cannot scan an `Array` back.
"""

from typing import Any

import dataframely as dy
import polars as pl

FORMAT_VERSION = 1
"""Raised when a reader of the previous version would misread the lake."""

SPLITS = ["train", "validation", "test", "unlabeled"]
METHODS = ["kmeans", "bisecting", "hdbscan"]
KINDS = ["class", "cluster", "confusion"]
LAYERS = ["layer3", "layer4"]
SPACES = ["embedding", "umap"]
SEPARATION_MEASURES = ["probe", "purity", "margin", "silhouette"]
VIEWS = ["umap", "pca"]
FIDELITY_MEASURES = ["trustworthiness", "continuity", "neighbors_kept"]


def _run_id() -> dy.String:
    return dy.String(primary_key=True, description="The run this row belongs to.")


def _dataset_id() -> dy.String:
    return dy.String(primary_key=True, description="The dataset and its split, shared by runs.")


def _sample_id() -> dy.Int64:
    return dy.Int64(primary_key=True, min=0, description="Stable number of the sample within the dataset.")


def _float(description: str, **options: Any) -> dy.Float64:
    return dy.Float64(allow_inf=False, allow_nan=False, description=description, **options)


def _one_of(values: list[str], description: str, *, primary_key: bool = False) -> dy.String:
    return dy.String(
        primary_key=primary_key,
        check=lambda column: column.is_in(values),
        description=f"{description}: {', '.join(values)}.",
    )


def _label_counts(*names: str) -> dy.List:
    counted: dict[str, dy.Column] = {name: dy.String() for name in names}
    counted["n"] = dy.Int64(min=1)
    return dy.List(dy.Struct(counted), description=f"Counts by {' and '.join(names)}, largest first.")


class Runs(dy.Schema):
    """One row a published run; a run exists if and only if it has a row here."""

    run_id = dy.String(primary_key=True, description="Start time and fingerprint, for example 20261123-131500-3fa9c1.")
    format_version = dy.Int64(min=1, description="Version of the lake's format that wrote the run.")
    started_at = dy.Datetime(time_zone="UTC", description="When the refresh began.")
    published_at = dy.Datetime(time_zone="UTC", description="When readers could first see it.")
    preset = dy.String(description="Sizes and epochs: smoke, quick, standard or full.")
    dataset_id = dy.String(description="The dataset and its split.")
    dataset_name = dy.String(description="Name of the dataset for people.")
    classes = dy.List(dy.String(), description="Class names in the order of `probabilities`.")
    groups = dy.List(
        dy.Struct({"name": dy.String(), "label": dy.String(), "value": dy.String()}),
        description="What each class counts as, by grouping: superclass, ship, vehicle.",
    )
    fingerprint = dy.String(description="Hash of data, settings and code: equal means nothing new.")
    code_version = dy.String(description="Version of latentlake.")
    packages = dy.String(description="Versions of the packages that computed it, as JSON.")
    config = dy.String(description="Every setting, as JSON.")
    tables = dy.List(
        dy.Struct({"name": dy.String(), "version": dy.Int64(), "rows": dy.Int64()}),
        description="Pinned Delta version and rows of every table of the run.",
    )
    checks = dy.Int64(min=0, description="Contract and key checks passed before publishing.")


class Samples(dy.Schema):
    """Every image of a dataset with its split, label and groups."""

    dataset_id = _dataset_id()
    sample_id = _sample_id()
    split = _one_of(SPLITS, "Part of the dataset")
    label = dy.String(nullable=True, description="Given class; null where the label is withheld.")
    groups = dy.List(
        dy.Struct({"name": dy.String(), "value": dy.String(nullable=True)}),
        description="What the class counts as, for example superclass = vehicle.",
    )
    source_name = dy.String(description="Position in the official batches (train/17, test/42).")
    sha256 = dy.String(min_length=64, max_length=64, description="Hash of the pixels.")


class Images(dy.Schema):
    """The encoded image of every sample."""

    dataset_id = _dataset_id()
    sample_id = _sample_id()
    png = dy.Binary(description="The image as PNG.")
    width = dy.Int64(min=1, description="Pixels.")
    height = dy.Int64(min=1, description="Pixels.")


class Properties(dy.Schema):
    """Measured image properties in CIELAB (sRGB, D65); background = border ring, object = centre: a proxy."""

    dataset_id = _dataset_id()
    sample_id = _sample_id()
    bg_lightness = _float("Median L* of the border ring, 0 black to 100 white.", min=0, max=101)
    bg_plainness = _float("Standard deviation of L* in the ring; 0 is one flat tone.", min=0)
    bg_chroma = _float("Mean chroma of the ring; 0 is grey.", min=0)
    object_lightness = _float("Median L* of the centre.", min=0, max=101)
    shade = _float("Lightness of the centre minus that of the ring; negative is a darker object.")
    object_chroma = _float("Mean chroma of the centre; 0 is grey.", min=0)
    object_hue = _float(
        "Hue of the centre in degrees; null where its chroma is below 10.", nullable=True, min=0, max=360
    )
    contrast = _float("Standard deviation of L* over the image.", min=0)
    sharpness = _float("Variance of the Laplacian of L*; low is blurred.", min=0)
    edge_density = _float("Share of pixels with a strong lightness gradient.", min=0, max=1)


class Predictions(dy.Schema):
    """What the classifier says of each scored sample, after temperature scaling."""

    run_id = _run_id()
    sample_id = _sample_id()
    predicted = dy.String(description="Most probable class.")
    confidence = _float("Probability of the predicted class.", min=0, max=1.0001)
    probabilities = dy.List(dy.Float32(), description="Calibrated probability of each class of `runs.classes`.")
    logits = dy.List(dy.Float32(), description="Raw outputs of the classifier, before temperature scaling.")
    loss = _float(
        "Cross-entropy of the given label in nats; 0 is certain and right; null if unlabeled.",
        nullable=True,
        min=0,
    )
    raw_loss = _float("The same before temperature scaling.", nullable=True, min=0)
    expected_loss = _float("Entropy of the probabilities in nats: the loss to expect without a label.", min=0)
    margin = _float("Probability of the first class minus that of the second.", min=0, max=1.0001)
    correct = dy.Bool(nullable=True, description="Whether the prediction equals the label; null if unlabeled.")
    out_of_sample = dy.Bool(description="False where the scoring model was trained on the sample.")
    fold = dy.Int64(
        nullable=True, min=1, description="Model that scored a training sample it never saw; null for the main model."
    )
    temperature = _float("What the logits are divided by before the softmax.", min=0)


class Embeddings(dy.Schema):
    """The features before the classifier."""

    run_id = _run_id()
    sample_id = _sample_id()
    embedding = dy.List(dy.Float32(), description="512 features of timm's forward_head(pre_logits=True).")


class Projection(dy.Schema):
    """Where each sample lies on the 2-D map."""

    run_id = _run_id()
    sample_id = _sample_id()
    x = _float("First UMAP coordinate; no unit.")
    y = _float("Second UMAP coordinate; no unit.")
    neighbors_kept = _float("Share of the 15 nearest in 512-d that are among the 15 nearest on the map.", min=0, max=1)
    pca_x = _float("First principal component of the embeddings at unit length.", nullable=True)
    pca_y = _float("Second principal component.", nullable=True)


class MapQuality(dy.Schema):
    """How far each two-dimensional view can be believed, with 95 % bootstrap intervals."""

    run_id = _run_id()
    view = _one_of(VIEWS, "View", primary_key=True)
    measure = _one_of(FIDELITY_MEASURES, "What is measured at the 15 nearest; 1 is faithful", primary_key=True)
    n = dy.Int64(min=1, description="Samples it is the mean of.")
    value = _float("The mean.", max=1.0001)
    low = _float("Lower end of the interval.", max=1.0001)
    high = _float("Upper end of the interval.", max=1.0001)


class Separation(dy.Schema):
    """How far groups lie apart, on labelled held-out samples, with 95 % bootstrap intervals."""

    run_id = _run_id()
    grouping = dy.String(primary_key=True, description="What the classes are grouped by: superclass, or label itself.")
    space = _one_of(SPACES, "Space: the 512 features or the map", primary_key=True)
    measure = _one_of(SEPARATION_MEASURES, "What is measured", primary_key=True)
    label = dy.String(primary_key=True, description="The class the row is of; empty for all samples.")
    n = dy.Int64(min=1, description="Held-out samples it is the mean of.")
    value = _float(
        "Mean of: named right by a linear probe; share of the 15 nearest of the same group; "
        "margin between the own and the nearest other centroid; silhouette.",
        min=-1.0001,
        max=1.0001,
    )
    low = _float("Lower end of the interval.", min=-1.0001, max=1.0001)
    high = _float("Upper end of the interval.", min=-1.0001, max=1.0001)
    chance = _float("The value with the groups shuffled; null for a class.", nullable=True, min=-1.0001, max=1.0001)


class Clusters(dy.Schema):
    """Which cluster each sample belongs to, by method."""

    run_id = _run_id()
    method = _one_of(METHODS, "Clustering", primary_key=True)
    sample_id = _sample_id()
    cluster = dy.Int64(nullable=True, min=0, description="Cluster number; null is noise, never merged.")
    distance = _float("Distance to the cluster's centre in normalised PCA space; null for noise.", nullable=True, min=0)
    strength = _float("Membership strength, 1 for methods without one.", min=0, max=1)


class ClusterSummaries(dy.Schema):
    """What each cluster is, in counts and measured words."""

    run_id = _run_id()
    method = _one_of(METHODS, "Clustering", primary_key=True)
    cluster = dy.Int64(primary_key=True, min=0, description="Cluster number within the method.")
    n = dy.Int64(min=1, description="Samples in the cluster.")
    n_held_out = dy.Int64(min=0, description="Of them labelled and out of sample; losses use these only.")
    class_mix = _label_counts("label")
    mean_loss = _float("Mean loss of the held-out members in nats.", nullable=True)
    lift = _float("Their mean loss over that of all held-out samples.", nullable=True)
    lift_low = _float("Lower end of the 95 % bootstrap interval of the lift.", nullable=True)
    lift_high = _float("Upper end of it.", nullable=True)
    adjusted_p = _float("Benjamini-Hochberg adjusted p of a raised loss; null if too few.", nullable=True, min=0, max=1)
    description = dy.String(description="Measured properties that set it apart, with numbers.")
    medoids = dy.List(dy.Int64(), description="Samples nearest to the centre, nearest first.")


class Neighbors(dy.Schema):
    """The most similar samples of each sample, itself left out."""

    run_id = _run_id()
    sample_id = _sample_id()
    rank = dy.Int64(primary_key=True, min=1, description="1 is the most similar.")
    neighbor_id = dy.Int64(min=0, description="The similar sample.")
    similarity = _float("Cosine of the two embeddings.", min=-1.001, max=1.001)


class LossMaps(dy.Schema):
    """Signed maps of what raises and lowers the loss (HiResCAM on the loss), held-out samples."""

    run_id = _run_id()
    sample_id = _sample_id()
    layer = _one_of(LAYERS, "Block whose output is explained", primary_key=True)
    target = dy.String(description="Class whose cross-entropy is explained: the label, else the prediction.")
    height = dy.Int64(min=1, description="Cells.")
    width = dy.Int64(min=1, description="Cells.")
    values = dy.List(dy.Float32(), description="Row by row in nats: above 0 raises the loss, below 0 lowers it.")
    max_abs = _float("Largest absolute value of the map.", min=0)


class Findings(dy.Schema):
    """Ranked, tested statements about groups whose loss is raised."""

    run_id = _run_id()
    finding_id = dy.Int64(primary_key=True, min=1, description="Rank: 1 is the worst.")
    kind = _one_of(KINDS, "What makes the group")
    name = dy.String(description="The group in words.")
    sentence = dy.String(description="The statement shown to people.")
    n = dy.Int64(min=1, description="Held-out samples in the group.")
    population = dy.Int64(min=1, description="Held-out samples it is a part of.")
    mean_loss = _float("Mean loss of the group in nats.", min=0)
    lift = _float("Mean loss of the group over that of all held-out samples.", min=0)
    lift_low = _float("Lower end of the 95 % bootstrap interval.", min=0)
    lift_high = _float("Upper end of it.", min=0)
    errors = dy.Int64(min=0, description="Wrong predictions in the group.")
    p = _float("One-sided permutation p against random groups of equal size.", min=0, max=1)
    adjusted_p = _float("After Benjamini-Hochberg over every group tested.", min=0, max=1)
    class_matched_p = _float(
        "Permutation p against groups of the same class mix; null for classes.", nullable=True, min=0, max=1
    )
    confirmed = dy.Bool(description="Found on one half and again, below .05, on the other.")
    severity = _float("Loss above expectation summed over the group, in nats: the order of the list.")
    confusion = _label_counts("label", "predicted")
    example_ids = dy.List(dy.Int64(), description="Its samples of highest loss.")
    filter_ = dy.String(  # a class attribute `filter` would hide `Schema.filter`, which validates
        alias="filter", description="The filter that reproduces the group, as in a page's address."
    )
    action = dy.String(description="What to do about it.")


class Training(dy.Schema):
    """Telemetry of the training, a row every few steps; epochs are fractional as image sizes grow."""

    run_id = _run_id()
    step = dy.Int64(primary_key=True, min=1, description="Optimiser steps done.")
    epoch = _float("Passes over the training split.", min=0)
    resolution = dy.Int64(min=8, description="Side of the training images in pixels.")
    loss = _float("Mean smoothed cross-entropy since the last row, in nats.", min=0)
    accuracy = _float("Share right on augmented training images since the last row.", min=0, max=1)
    learning_rate = _float("Rate of the convolutions.", min=0)
    images_per_second = _float("Training speed since the last row.", min=0)


class Dynamics(dy.Schema):
    """How each training sample was learnt, over every time training showed it (augmented)."""

    run_id = _run_id()
    sample_id = _sample_id()
    times_seen = dy.Int64(min=1, description="How often training showed it.")
    aum = _float("Area under the margin: mean logit of the label minus the largest other one.")
    confidence = _float("Mean probability of the label.", min=0, max=1.0001)
    variability = _float("Standard deviation of that probability.", min=0)
    times_forgotten = dy.Int64(min=0, description="How often it was wrong right after having been right.")


class Metrics(dy.Schema):
    """One number a row: headline figures, seconds and peak memory of each stage."""

    run_id = _run_id()
    stage = dy.String(primary_key=True, description="Stage that measured it.")
    name = dy.String(primary_key=True, description="What is measured, with its unit.")
    value = _float("The number.")


TABLES: dict[str, type[dy.Schema]] = {
    "runs": Runs,
    "samples": Samples,
    "images": Images,
    "properties": Properties,
    "predictions": Predictions,
    "embeddings": Embeddings,
    "projection": Projection,
    "map_quality": MapQuality,
    "separation": Separation,
    "clusters": Clusters,
    "cluster_summaries": ClusterSummaries,
    "neighbors": Neighbors,
    "loss_maps": LossMaps,
    "findings": Findings,
    "training": Training,
    "dynamics": Dynamics,
    "metrics": Metrics,
}
DATASET_TABLES = ("samples", "images", "properties")
RUN_TABLES = tuple(name for name in TABLES if name not in ("runs", *DATASET_TABLES))


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
    return "dataset_id" if table in DATASET_TABLES else "run_id"


def make_frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of a table but for its partition key, with the contract's types even when there are none."""
    columns = {name: column.dtype for name, column in TABLES[table].columns().items() if name != key_column(table)}
    return pl.DataFrame(rows, schema=columns)


def describe_tables() -> str:
    """The tables as Markdown, for the README."""
    parts = []
    for name, schema in TABLES.items():
        summary = (schema.__doc__ or "").splitlines()[0]
        rows = [
            f"| `{column}`{' *' if definition.primary_key else ''} | {definition.dtype} | {definition.description} |"
            for column, definition in schema.columns().items()
        ]
        parts.append("\n".join([f"**`{name}`** - {summary}\n", "| column | type | meaning |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)
