"""Figures derived from the sample table: accuracy, confusions, calibration, purity, and figures of runs and stages."""

from collections.abc import Sequence
from typing import TypeVar

import polars as pl

from lake.contracts.samples import Properties
from lake.contracts.stages import RENAMED
from lake.query.joined_samples import Tables, group_columns
from lake.storage.store import Lake, Run

PROPERTIES = [name for name in Properties.column_names() if name not in ("dataset_id", "sample_id")]
LABELLED = pl.col("label").is_not_null()
WRONG = pl.col("label") != pl.col("predicted")
HELD_OUT = LABELLED & pl.col("out_of_sample")
GROUPS_AT_MOST = 60
"""Maximum number of distinct values of a text metadata column that is used for grouping."""
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


def accuracy(frame: pl.LazyFrame, by: str | None = None) -> pl.LazyFrame:
    """Return n, hits, mean and median loss of the labelled rows, in total or by a column."""
    measures = (
        pl.len().cast(pl.Int64).alias("n"),
        pl.col("correct").sum().cast(pl.Int64).alias("hits"),
        pl.col("loss").mean().alias("mean_loss"),
        pl.col("loss").median().alias("median_loss"),
    )
    labelled = frame.filter(LABELLED)
    return labelled.group_by(by).agg(measures).sort(by) if by else labelled.select(measures)


def confusion(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return n and mean loss by label and predicted class, with the total of the label and the share of it."""
    counts = (
        frame.filter(LABELLED)
        .group_by("label", "predicted")
        .agg(pl.len().cast(pl.Int64).alias("n"), pl.col("loss").mean().alias("mean_loss"))
    )
    total = pl.col("n").sum().over("label")
    return counts.with_columns(total.alias("total"), (pl.col("n") / total).alias("share")).sort("label", "predicted")


def top_confusions(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return the wrong cells of the confusion matrix, most frequent first."""
    return rank_confusions(confusion(frame))


def rank_confusions(cells: Frame) -> Frame:
    """Return the wrong cells of `confusion`, most frequent first."""
    return cells.filter(WRONG).sort("n", "label", "predicted", descending=[True, False, False])


def class_report(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return recall, precision and loss of each class, lowest recall first."""
    labelled = frame.filter(LABELLED)
    predicted_counts = labelled.group_by(pl.col("predicted").alias("label")).agg(
        pl.len().cast(pl.Int64).alias("claimed"), pl.col("correct").mean().alias("precision")
    )
    return (
        accuracy(labelled, by="label")
        .join(predicted_counts, on="label", how="left")
        .with_columns((pl.col("hits") / pl.col("n")).alias("recall"))
        .sort("recall", "label")
    )


def class_calibration(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return by predicted class n, hits, mean confidence and its gap to the accuracy, largest gap first."""
    labelled = frame.filter(LABELLED)
    counts = labelled.group_by("predicted").agg(
        pl.len().cast(pl.Int64).alias("n"),
        pl.col("correct").sum().cast(pl.Int64).alias("hits"),
        pl.col("confidence").mean(),
    )
    gap = (pl.col("confidence") - pl.col("hits") / pl.col("n")).alias("gap")
    return counts.with_columns(gap).sort(pl.col("gap").abs(), "predicted", descending=[True, False])


def reliability(frame: pl.LazyFrame, *, bins: int = 15) -> pl.LazyFrame:
    """Return mean confidence, n and hits in equal-mass bins of the confidence."""
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
    """Return for each labelled sample the share of its labelled nearest neighbours in latent space with its `group`.

    `held_out` restricts this to samples that the model was not trained on.
    """
    number = pl.col(group).rank("dense").alias("number")  # faster to compare than the name
    labelled = _samples_with_groups(run).filter(LABELLED).select("sample_id", number)
    queried = labelled
    if held_out:
        queried = labelled.join(run.scan("predictions").filter("out_of_sample"), on="sample_id", how="semi")
    neighbors = run.scan("neighbors").filter(pl.col("rank") <= nearest).select("sample_id", "neighbor_id")
    same = (pl.col("number") == pl.col("number_neighbor")).mean()
    return (
        neighbors.join(queried, on="sample_id")
        .join(labelled, left_on="neighbor_id", right_on="sample_id", suffix="_neighbor")
        .group_by("sample_id")
        .agg(same.alias("purity"))
    )


def misplaced(run: Run, group: str, *, nearest: int = 15) -> pl.LazyFrame:
    """Return the held-out samples with under half of their labelled neighbours in their `group`, lowest share first."""
    purity = neighbor_purity(run, group, nearest=nearest, held_out=True)
    return purity.filter(pl.col("purity") < 0.5).sort("purity", "sample_id")


EMBEDDED = pl.col("x").is_not_null()
"""Whether a sample of the sample table has an embedding, and so a position."""


def composition(selected: pl.LazyFrame, everything: pl.LazyFrame, column: str) -> pl.LazyFrame:
    """Return n and share of each value of a column in a selection, its share in all rows and the lift, by share."""

    def shares(frame: pl.LazyFrame, suffix: str) -> pl.LazyFrame:
        counts = frame.drop_nulls(column).group_by(column).agg(pl.len().cast(pl.Int64).alias(f"n{suffix}"))
        return counts.with_columns((pl.col(f"n{suffix}") / pl.col(f"n{suffix}").sum()).alias(f"share{suffix}"))

    joined = shares(selected, "").join(shares(everything, "_all"), on=column)
    return joined.with_columns((pl.col("share") / pl.col("share_all")).alias("lift")).sort(
        "share", column, descending=[True, False]
    )


def confusion_difference(now: pl.LazyFrame, before: pl.LazyFrame) -> pl.LazyFrame:
    """Return the cells of `confusion` on the samples held out in both runs, with the difference of the shares."""
    common = now.filter(HELD_OUT).join(before.filter(HELD_OUT), on="sample_id", how="semi")
    earlier = before.filter(HELD_OUT).join(common, on="sample_id", how="semi")
    keys = ["label", "predicted"]
    cells = confusion(common).join(confusion(earlier), on=keys, how="full", coalesce=True, suffix="_before")
    return (
        cells.with_columns(pl.col("n", "n_before", "share", "share_before").fill_null(0))
        .select(
            *keys, "n", "n_before", "share", "mean_loss", (pl.col("share") - pl.col("share_before")).alias("difference")
        )
        .sort(keys)
    )


def probabilities(run: Run, sample_id: int) -> pl.LazyFrame:
    """Return the calibrated probability of every class for one sample, most probable first."""
    row = run.scan("predictions").filter(pl.col("sample_id") == sample_id)
    labelled = row.select(pl.lit(pl.Series([run.classes])).alias("label"), pl.col("probabilities").alias("probability"))
    return labelled.explode("label", "probability").sort("probability", descending=True)


def image_size(run: Run, sample_id: int) -> pl.LazyFrame:
    """Return width and height of a sample's image and of its original in pixels; the latter null if there is none."""
    columns = [f"{kind}{length}" for kind in ("", "original_") for length in ("width", "height")]
    return run.scan("images").filter(pl.col("sample_id") == sample_id).select(columns)


def embedding_size(run: Tables) -> int:
    """Return the dimension of the run's embeddings; 0 if it has none."""
    sizes = run.scan("embeddings").head(1).select(pl.col("embedding").list.len()).collect()
    return int(sizes.item()) if len(sizes) else 0


def metrics_of_runs(lake: Lake, runs: pl.DataFrame, stage: str, names: Sequence[str]) -> pl.LazyFrame:
    """Return one row per run of `runs` (rows of `Lake.runs`) with the named metrics of a stage; null if missing."""
    metrics = lake.scan_runs("metrics", runs).filter(pl.col("stage") == stage)
    wide = metrics.group_by("run_id").agg(
        pl.col("value").filter(pl.col("name") == name).first().alias(name) for name in names
    )
    return runs.lazy().select("run_id").join(wide, on="run_id", how="left", maintain_order="left")


def previous_run_id(runs: pl.DataFrame, run: Run) -> str | None:
    """Return the last run of `Lake.runs` published before `run` for the same dataset; None if there is none."""
    runs_of_dataset = runs.filter(pl.col("dataset_id") == run.dataset_id)
    earlier = runs_of_dataset.filter(pl.col("published_at") < run.facts["published_at"])
    return earlier["run_id"][0] if len(earlier) else None


def stage_costs(run: Run) -> pl.LazyFrame:
    """Return seconds, peak memory and reuse of every stage in execution order, under current stage names."""
    costs = run.scan("metrics").filter(pl.col("name").is_in(["order", "seconds", "peak_memory_mib", "reused"]))
    costs = costs.with_columns(pl.col("stage").replace(RENAMED))
    wide = costs.group_by("stage").agg(
        pl.col("value").filter(pl.col("name") == name).first().alias(name)
        for name in ("order", "seconds", "peak_memory_mib", "reused")
    )
    return wide.sort("order").drop("order")


def _samples_with_groups(run: Tables) -> pl.LazyFrame:
    return run.scan("samples").select("sample_id", "split", "label", *group_columns(run))
