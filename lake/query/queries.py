"""The questions pages ask: a run or a lazy frame in, a lazy frame out. Every number on screen comes from here."""

from collections.abc import Sequence
from typing import ClassVar, Protocol, TypeVar

import polars as pl

from lake.contracts.clusters import METHODS
from lake.contracts.samples import Properties
from lake.contracts.stages import RENAMED
from lake.contracts.tables import TABLES
from lake.storage.store import Lake, Run

PROPERTIES = [name for name in Properties.column_names() if name not in ("dataset_id", "sample_id")]
LABELLED = pl.col("label").is_not_null()
WRONG = pl.col("label") != pl.col("predicted")
HELD_OUT = LABELLED & pl.col("out_of_sample")
GROUPS_AT_MOST = 60
"""Values of a text that is carried along from the source; one of more tells samples apart, not groups."""
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


class Tables(Protocol):
    """A published run, or one about to be."""

    @property
    def groups(self) -> dict[str, dict[str, str]]: ...

    @property
    def metadata(self) -> dict[str, str]: ...

    def scan(self, name: str) -> pl.LazyFrame: ...


def scan_samples(run: Tables) -> pl.LazyFrame:
    """One row a scored sample with everything measured of it but vectors: the table analysts filter.

    Where predictions were brought without images their properties are null, without embeddings position and clusters.
    """
    carried = (*_group_columns(run), *metadata_columns(run))
    samples = run.scan("samples").select("sample_id", "split", "label", *carried, "source_name")
    inner = ("run_id", "probabilities", "logits", "raw_loss", "fold", "temperature")
    predictions = run.scan("predictions").drop(inner, strict=False)
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
    """The columns of the source that are carried along, each under its name, from the table `samples`."""
    fields = {"number": "number", "text": "value"}
    found = [pl.col("metadata").list.get(i).struct.field(fields[kind]) for i, kind in enumerate(run.metadata.values())]
    return [column.alias(name) for column, name in zip(found, run.metadata, strict=True)]


def reserved_columns() -> set[str]:
    """Names that neither a grouping nor a column carried along from the source may have."""
    return {*sample_schema(), "row"}


def sample_schema() -> pl.Schema:
    """The columns of `scan_samples` that every run has."""
    return scan_samples(_Empty()).collect_schema()


def cluster_column(method: str) -> str:
    """The column of `scan_samples` with the clusters of a method."""
    return f"cluster_{method}"


def accuracy(frame: pl.LazyFrame, by: str | None = None) -> pl.LazyFrame:
    """n, hits, mean and median loss of the labelled rows, in all or by a column."""
    measures = (
        pl.len().cast(pl.Int64).alias("n"),
        pl.col("correct").sum().cast(pl.Int64).alias("hits"),
        pl.col("loss").mean().alias("mean_loss"),
        pl.col("loss").median().alias("median_loss"),
    )
    labelled = frame.filter(LABELLED)
    return labelled.group_by(by).agg(measures).sort(by) if by else labelled.select(measures)


def confusion(frame: pl.LazyFrame) -> pl.LazyFrame:
    """n and mean loss by label and predicted class, the label's total and the share of it."""
    counts = (
        frame.filter(LABELLED)
        .group_by("label", "predicted")
        .agg(pl.len().cast(pl.Int64).alias("n"), pl.col("loss").mean().alias("mean_loss"))
    )
    total = pl.col("n").sum().over("label")
    return counts.with_columns(total.alias("total"), (pl.col("n") / total).alias("share")).sort("label", "predicted")


def top_confusions(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Wrong cells of the confusion matrix, largest first."""
    return rank_confusions(confusion(frame))


def rank_confusions(cells: Frame) -> Frame:
    """Of the cells of `confusion` the wrong ones, the most frequent first."""
    return cells.filter(WRONG).sort("n", "label", "predicted", descending=[True, False, False])


def class_report(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Recall, precision and loss of each class, lowest recall first."""
    labelled = frame.filter(LABELLED)
    claimed = labelled.group_by(pl.col("predicted").alias("label")).agg(
        pl.len().cast(pl.Int64).alias("claimed"), pl.col("correct").mean().alias("precision")
    )
    return (
        accuracy(labelled, by="label")
        .join(claimed, on="label", how="left")
        .with_columns((pl.col("hits") / pl.col("n")).alias("recall"))
        .sort("recall", "label")
    )


def class_calibration(frame: pl.LazyFrame) -> pl.LazyFrame:
    """By prediction: n, hits, mean confidence and by how much that is above the share right, furthest first."""
    labelled = frame.filter(LABELLED)
    counted = labelled.group_by("predicted").agg(
        pl.len().cast(pl.Int64).alias("n"),
        pl.col("correct").sum().cast(pl.Int64).alias("hits"),
        pl.col("confidence").mean(),
    )
    gap = (pl.col("confidence") - pl.col("hits") / pl.col("n")).alias("gap")
    return counted.with_columns(gap).sort(pl.col("gap").abs(), "predicted", descending=[True, False])


def reliability(frame: pl.LazyFrame, *, bins: int = 15) -> pl.LazyFrame:
    """Mean confidence and share right in bins of equal mass, with n and hits."""
    order = pl.col("confidence").rank("ordinal") - 1
    labelled = frame.filter(LABELLED).with_columns((order * bins // pl.len()).cast(pl.Int64).alias("bin"))
    return (
        labelled.group_by("bin")
        .agg(
            pl.len().cast(pl.Int64).alias("n"),
            pl.col("correct").sum().cast(pl.Int64).alias("hits"),
            pl.col("confidence").mean(),
        )
        .sort("bin")
    )


def neighbor_purity(run: Run, group: str, *, nearest: int = 15, held_out: bool = False) -> pl.LazyFrame:
    """Per labelled sample the share of its labelled nearest neighbours in latent space that share its `group`.

    `held_out` asks only for those that the model did not learn from.
    """
    number = pl.col(group).rank("dense").alias("number")  # compared faster than its name
    everyone = _samples_with_groups(run).filter(LABELLED).select("sample_id", number)
    asked = everyone
    if held_out:
        asked = everyone.join(run.scan("predictions").filter("out_of_sample"), on="sample_id", how="semi")
    close = run.scan("neighbors").filter(pl.col("rank") <= nearest).select("sample_id", "neighbor_id")
    same = (pl.col("number") == pl.col("number_neighbor")).mean()
    return (
        close.join(asked, on="sample_id")
        .join(everyone, left_on="neighbor_id", right_on="sample_id", suffix="_neighbor")
        .group_by("sample_id")
        .agg(same.alias("purity"))
    )


def misplaced(run: Run, group: str, *, nearest: int = 15) -> pl.LazyFrame:
    """Held-out samples fewer than half of whose labelled nearest are of their own `group`, the fewest first."""
    purity = neighbor_purity(run, group, nearest=nearest, held_out=True)
    return purity.filter(pl.col("purity") < 0.5).sort("purity", "sample_id")


def composition(selected: pl.LazyFrame, everything: pl.LazyFrame, column: str) -> pl.LazyFrame:
    """n and share of each value of a column in a selection, its share in all, and the lift, largest share first."""

    def shares(frame: pl.LazyFrame, suffix: str) -> pl.LazyFrame:
        counted = frame.drop_nulls(column).group_by(column).agg(pl.len().cast(pl.Int64).alias(f"n{suffix}"))
        return counted.with_columns((pl.col(f"n{suffix}") / pl.col(f"n{suffix}").sum()).alias(f"share{suffix}"))

    joined = shares(selected, "").join(shares(everything, "_all"), on=column)
    return joined.with_columns((pl.col("share") / pl.col("share_all")).alias("lift")).sort(
        "share", column, descending=[True, False]
    )


def confusion_difference(now: pl.LazyFrame, before: pl.LazyFrame) -> pl.LazyFrame:
    """The cells of `confusion` on the held-out samples of two runs: n, n_before, share and the difference of shares."""
    shared = now.filter(HELD_OUT).join(before.filter(HELD_OUT), on="sample_id", how="semi")
    earlier = before.filter(HELD_OUT).join(shared, on="sample_id", how="semi")
    keys = ["label", "predicted"]
    cells = confusion(shared).join(confusion(earlier), on=keys, how="full", coalesce=True, suffix="_before")
    return (
        cells.with_columns(pl.col("n", "n_before", "share", "share_before").fill_null(0))
        .select(
            *keys, "n", "n_before", "share", "mean_loss", (pl.col("share") - pl.col("share_before")).alias("difference")
        )
        .sort(keys)
    )


def probabilities(run: Run, sample_id: int) -> pl.LazyFrame:
    """Calibrated probability of every class for one sample, most probable first."""
    row = run.scan("predictions").filter(pl.col("sample_id") == sample_id)
    named = row.select(pl.lit(pl.Series([run.classes])).alias("label"), pl.col("probabilities").alias("probability"))
    return named.explode("label", "probability").sort("probability", descending=True)


def image_size(run: Run, sample_id: int) -> pl.LazyFrame:
    """Width and height in pixels of a sample's image, and of what it was before; null where it was that already."""
    columns = [f"{kind}{length}" for kind in ("", "original_") for length in ("width", "height")]
    return run.scan("images").filter(pl.col("sample_id") == sample_id).select(columns)


def embedding_size(run: Tables) -> int:
    """How many numbers an embedding of the run has; 0 where nothing was scored."""
    found = run.scan("embeddings").head(1).select(pl.col("embedding").list.len()).collect()
    return int(found.item()) if len(found) else 0


def metrics_of_runs(lake: Lake, runs: pl.DataFrame, stage: str, names: Sequence[str]) -> pl.LazyFrame:
    """A row for each of some published runs, as `Lake.runs` has them, with numbers that a stage measured; else null."""
    found = lake.scan_runs("metrics", runs).filter(pl.col("stage") == stage)
    wide = found.group_by("run_id").agg(
        pl.col("value").filter(pl.col("name") == name).first().alias(name) for name in names
    )
    return runs.lazy().select("run_id").join(wide, on="run_id", how="left", maintain_order="left")


def previous_run_id(runs: pl.DataFrame, run: Run) -> str | None:
    """Of `Lake.runs`, the last one of the same dataset that was published before the run; None where there is none."""
    same = runs.filter(pl.col("dataset_id") == run.dataset_id)
    earlier = same.filter(pl.col("published_at") < run.facts["published_at"])
    return earlier["run_id"][0] if len(earlier) else None


def stage_costs(run: Run) -> pl.LazyFrame:
    """Seconds and peak memory of every stage in the order they ran, under the names that stages have today."""
    costs = run.scan("metrics").filter(pl.col("name").is_in(["order", "seconds", "peak_memory_mib", "reused"]))
    costs = costs.with_columns(pl.col("stage").replace(RENAMED))
    wide = costs.group_by("stage").agg(
        pl.col("value").filter(pl.col("name") == name).first().alias(name)
        for name in ("order", "seconds", "peak_memory_mib", "reused")
    )
    return wide.sort("order").drop("order")


def _samples_with_groups(run: Tables) -> pl.LazyFrame:
    return run.scan("samples").select("sample_id", "split", "label", *_group_columns(run))


def _group_columns(run: Tables) -> list[pl.Expr]:
    return [pl.col("groups").list.get(i).struct.field("value").alias(name) for i, name in enumerate(run.groups)]


class _Empty:
    """A run of no samples, groupings or columns of the source."""

    groups: ClassVar[dict[str, dict[str, str]]] = {}
    metadata: ClassVar[dict[str, str]] = {}

    def scan(self, name: str) -> pl.LazyFrame:
        return TABLES[name].create_empty().lazy()
