"""Reviews of samples: verdicts and named sets."""

from dataclasses import dataclass, replace

import polars as pl

from lake.contracts.quality import VERDICTS
from lake.errors import UsageError
from lake.storage import appending
from lake.storage.appending import MAX_NAME, MAX_NOTE, MAX_PERSON
from lake.storage.store import Lake, Run

MOMENT = "reviewed_at"


@dataclass(frozen=True)
class Review:
    """A verdict of a reviewer on a sample.

    `run_id` is the run in which it was reviewed, `undoes` the review that this one undoes.
    """

    dataset_id: str
    sample_id: int
    verdict: str
    reviewer: str
    label: str | None = None
    note: str = ""
    undoes: str | None = None
    run_id: str | None = None


def add_reviews(lake: Lake, reviews: list[Review]) -> list[str]:
    """Append reviews of one dataset in one commit and return their ids.

    Raises `UsageError` if a review is incomplete, `LakeError` if the lake cannot be written.
    """
    return appending.append_rows(lake, "reviews", [_row(review) for review in reviews], moment=MOMENT)


def scan_reviews(lake: Lake, dataset_id: str) -> pl.LazyFrame:
    """Return all reviews of a dataset, including undone ones, oldest first."""
    return appending.scan_rows(lake, "reviews", dataset_id, moment=MOMENT)


def active_reviews(reviews: pl.LazyFrame) -> pl.LazyFrame:
    """Return the reviews that have not been undone."""
    return appending.active_rows("reviews", reviews)


def latest(reviews: pl.LazyFrame) -> pl.LazyFrame:
    """Return the latest verdict on each sample that has not been undone, excluding sets."""
    verdicts = active_reviews(reviews).filter(pl.col("verdict") != "in set")
    return verdicts.sort("reviewed_at", "review_id").unique("sample_id", keep="last", maintain_order=True)


def judged_issues(lake: Lake, dataset_id: str) -> pl.DataFrame:
    """Return the latest verdict on each sample of a list of doubtful labels: run_id, sample_id, verdict.

    A verdict counts for the list of the run it was given in, because later runs may not list the sample.
    """
    verdicts = latest(scan_reviews(lake, dataset_id)).select("run_id", "sample_id", "verdict").drop_nulls().collect()
    runs = lake.runs().filter(pl.col("run_id").is_in(verdicts["run_id"].unique().to_list()))
    lists = [Run(lake, facts).scan("label_issues").filter(kind="label") for facts in runs.iter_rows(named=True)]
    if not lists:
        return verdicts.clear()
    return verdicts.join(pl.concat(lists).select("run_id", "sample_id").collect(), on=["run_id", "sample_id"])


def save_set(run: Run, name: str, sample_ids: list[int], reviewer: str) -> None:
    """Save samples as a named set in one commit; they are added to an existing set of that name.

    Raises `UsageError` if the name, the samples or the reviewer is missing, `LakeError` as `add_reviews`.
    """
    if not name.strip() or not sample_ids:
        raise UsageError("A set needs a name and at least one sample.")
    name = name.strip()[:MAX_NAME]
    first = Review(run.dataset_id, sample_ids[0], "in set", reviewer, note=name, run_id=run.run_id)
    add_reviews(run.lake, [replace(first, sample_id=i) for i in sample_ids])


def drop_set(run: Run, name: str, reviewer: str) -> None:
    """Drop a set, by one row for each of its samples."""
    rows = _in_sets(scan_reviews(run.lake, run.dataset_id)).filter(pl.col("note") == name).collect()
    undo_reviews = [
        Review(run.dataset_id, row["sample_id"], "undone", reviewer, undoes=row["review_id"])
        for row in rows.iter_rows(named=True)
    ]
    if undo_reviews:
        add_reviews(run.lake, undo_reviews)


def saved_sets(reviews: pl.LazyFrame) -> pl.LazyFrame:
    """Return the saved sets, newest first: name, n, sample_ids in the order of saving, saved_by and saved_at."""
    samples = _in_sets(reviews).unique(["note", "sample_id"], keep="first", maintain_order=True)
    return (
        samples.group_by(pl.col("note").alias("name"), maintain_order=True)
        .agg(
            n=pl.len().cast(pl.Int64),
            sample_ids=pl.col("sample_id"),
            saved_by=pl.col("reviewer").unique(maintain_order=True),
            saved_at=pl.col("reviewed_at").max(),
        )
        .sort("saved_at", "name", descending=[True, False])
    )


def _in_sets(reviews: pl.LazyFrame) -> pl.LazyFrame:
    return active_reviews(reviews).filter(pl.col("verdict") == "in set")


def _row(review: Review) -> dict[str, object]:
    if review.verdict not in VERDICTS:
        raise UsageError(f"{review.verdict[:40]!r} is not a verdict: use one of {', '.join(VERDICTS)}.")
    if review.verdict == "wrong" and not review.label:
        raise UsageError("A wrong label needs a correction: name the right class.")
    if not review.reviewer.strip():
        raise UsageError("A review needs the name of its reviewer.")
    if (review.verdict == "undone") != (review.undoes is not None):
        raise UsageError("A review with the verdict undone, and no other, must name the review that it takes back.")
    return {
        "dataset_id": review.dataset_id,
        "sample_id": review.sample_id,
        "verdict": review.verdict,
        "label": review.label,
        "note": review.note[:MAX_NOTE],
        "reviewer": review.reviewer.strip()[:MAX_PERSON],
        "undoes": review.undoes,
        "run_id": review.run_id,
    }
