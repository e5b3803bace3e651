"""Apply the review verdicts of people to the dataset before anything is computed from it.

A wrong label is corrected; a duplicate or excluded sample is left out; other verdicts are only counted.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from lake.contracts.quality import LEFT_OUT as REASON
from lake.query.reviews import judged_issues, latest, scan_reviews
from lake.statistics import wilson_interval
from lake.storage.store import Lake
from lake.text.formatting import percent
from pipeline.data.dataset import Dataset
from pipeline.engine.progress import Progress

LEFT_OUT = ("duplicate", "exclude")


@dataclass(frozen=True)
class Corrected:
    """The corrected dataset, and the numbers of relabelled and left-out samples."""

    dataset: Dataset
    relabelled: int
    left_out: int


def apply_verdicts(dataset: Dataset, verdicts: pl.DataFrame) -> Corrected:
    """Apply the last verdict on each sample (`sample_id`, `verdict`, `label`) to the dataset.

    Verdicts on unknown samples, or with an unknown class, are ignored.
    """
    applicable = verdicts.filter(pl.col("sample_id").is_in(dataset.sample_id.tolist()))
    wrong = applicable.filter(pl.col("verdict") == "wrong", pl.col("label").is_in(dataset.classes))
    rows = np.searchsorted(dataset.sample_id, wrong["sample_id"].to_numpy())
    label = dataset.label.copy()
    label[rows] = [dataset.classes.index(name) for name in wrong["label"]]
    excluded_id = applicable.filter(pl.col("verdict").is_in(LEFT_OUT))["sample_id"].to_numpy()
    is_kept = ~np.isin(dataset.sample_id, excluded_id)
    left_out = dataset.frame.filter(pl.Series(~is_kept)).select("source_name", "sample_id", "split", "sha256")
    refused = left_out.with_columns(reason=pl.lit(REASON), detail=pl.lit("")).select(dataset.quarantine.columns)
    corrected = replace(
        dataset,
        sample_id=dataset.sample_id[is_kept],
        images_NHWC=dataset.images_NHWC[is_kept],
        label=label[is_kept],
        split=dataset.split[is_kept],
        source_name=[name for name, keep in zip(dataset.source_name, is_kept, strict=True) if keep],
        metadata={name: column.filter(pl.Series(is_kept)) for name, column in dataset.metadata.items()},
        quarantine=pl.concat([dataset.quarantine, refused]),
    )
    return Corrected(corrected, relabelled=len(rows), left_out=len(excluded_id))


def honour_reviews(lake: Lake, dataset: Dataset, progress: Progress) -> Dataset:
    """Apply the current verdicts in the lake to the dataset, and report what they change."""
    corrected = apply_verdicts(dataset, latest(scan_reviews(lake, dataset.dataset_id)).collect())
    progress.say(f"Reviews: {corrected.relabelled:,} labels corrected, {corrected.left_out:,} samples left out.")
    return corrected.dataset


def report_reviews(lake: Lake, dataset_id: str, progress: Progress) -> dict[str, float]:
    """Counts and precision of the label issues that people judged, as figures of the run; empty if none were judged."""
    verdicts = judged_issues(lake, dataset_id)["verdict"]
    if verdicts.is_empty():
        return {}
    wrong = int((verdicts == "wrong").sum())
    low, high = wilson_interval(wrong, len(verdicts))
    progress.say(
        f"Reviews: {wrong:,} of {len(verdicts):,} doubtful labels judged by people were wrong "
        f"({percent(wrong / len(verdicts))}, {percent(low)} to {percent(high)})."
    )
    return {"judged": len(verdicts), "wrong": wrong, "precision": wrong / len(verdicts)}
