"""The sample table: one row per scored sample with all its measurements, and the order of its columns in exports."""

from typing import ClassVar, Protocol

import polars as pl

from lake.contracts.clusters import METHODS
from lake.contracts.tables import TABLES


class Tables(Protocol):
    """A published run, or one that is about to be published."""

    @property
    def groups(self) -> dict[str, dict[str, str]]: ...

    @property
    def metadata(self) -> dict[str, str]: ...

    def scan(self, name: str) -> pl.LazyFrame: ...


def scan_samples(run: Tables) -> pl.LazyFrame:
    """Return the sample table: one row per scored sample with all its measurements except vectors.

    For external predictions, image properties are null without images, and position and clusters of a sample are null
    if it has no embedding; the cluster alone is null for noise.
    """
    source_columns = (*group_columns(run), *metadata_columns(run))
    samples = run.scan("samples").select("sample_id", "split", "label", *source_columns, "source_name")
    omitted = ("run_id", "probabilities", "logits", "raw_loss", "fold", "temperature")
    predictions = run.scan("predictions").drop(omitted, strict=False)
    projection = run.scan("projection").drop("run_id", strict=False)
    properties = run.scan("properties").drop("dataset_id", strict=False)
    frame = predictions.join(samples, on="sample_id").join(projection, on="sample_id", how="left")
    frame = frame.join(properties, on="sample_id", how="left")
    for method in METHODS:
        members = run.scan("clusters").filter(pl.col("method") == method)
        frame = frame.join(
            members.select("sample_id", pl.col("cluster").alias(cluster_column(method))), on="sample_id", how="left"
        )
    frame = frame.join(run.scan("triage").select("sample_id", "reason"), on="sample_id", how="left")
    copies = run.scan("duplicates").select("sample_id", pl.col("tier").alias("duplicate"), "leak")
    frame = frame.join(copies, on="sample_id", how="left").with_columns(pl.col("leak").fill_null(value=False))
    families = run.scan("map_families").select("sample_id", pl.col("family").alias("map_family"))
    frame = frame.join(families, on="sample_id", how="left")
    return frame.select(
        "sample_id",
        "split",
        "label",
        "predicted",
        "correct",
        "loss",
        pl.all().exclude("sample_id", "split", "label", "predicted", "correct", "loss"),
    ).sort("sample_id")


def metadata_columns(run: Tables) -> list[pl.Expr]:
    """Return the metadata columns of the source by name, as expressions on the table `samples`.

    A column of kind text is String, of kind number Float64, and of kind integer Int64.
    """
    return [
        _metadata_value(pl.col("metadata").list.get(i), kind).alias(name)
        for i, (name, kind) in enumerate(run.metadata.items())
    ]


def _metadata_value(entry: pl.Expr, kind: str) -> pl.Expr:
    if kind == "number":
        return entry.struct.field("number")
    value = entry.struct.field("value")
    return value.cast(pl.Int64) if kind == "integer" else value


def group_columns(run: Tables) -> list[pl.Expr]:
    """Return the groupings of the classes by name, as expressions on the table `samples`."""
    return [pl.col("groups").list.get(i).struct.field("value").alias(name) for i, name in enumerate(run.groups)]


def reserved_columns() -> set[str]:
    """Return the names that neither a grouping nor a metadata column may have."""
    return {*sample_schema(), "row"}


def sample_schema() -> pl.Schema:
    """Return the columns of `scan_samples` that every run has."""
    return scan_samples(_Empty()).collect_schema()


def cluster_column(method: str) -> str:
    """Return the name of the column of `scan_samples` with the clusters of a method."""
    return f"cluster_{method}"


class _Empty:
    """A run without samples, groupings or metadata columns."""

    groups: ClassVar[dict[str, dict[str, str]]] = {}
    metadata: ClassVar[dict[str, str]] = {}

    def scan(self, name: str) -> pl.LazyFrame:
        return TABLES[name].create_empty().lazy()
