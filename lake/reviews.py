"""What people say of samples: appended, never changed, by as many at once as there are.

Each append is one Delta commit with a transaction of its own name, so that a retry can neither lose nor double it.
Files are not compacted here: two compactions at once double rows (deltalake 1.6).
"""

import datetime as dt
import random
import threading
import time
import uuid
from dataclasses import dataclass

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from lake.contracts import TABLES
from lake.errors import LakeError, UsageError
from lake.quality_contracts import VERDICTS
from lake.store import Lake, reading

TRIES, LONGEST_PAUSE = 60, 0.5
MAX_NOTE, MAX_NAME = 2000, 80
_TURN = threading.Lock()  # people on one server wait for each other instead of committing into each other


@dataclass(frozen=True)
class Review:
    """One verdict of one person on one sample; `undoes` names the review that it takes back."""

    dataset_id: str
    sample_id: int
    verdict: str
    reviewer: str
    label: str | None = None
    note: str = ""
    undoes: str | None = None


def add_reviews(lake: Lake, reviews: list[Review]) -> list[str]:
    """Append the reviews of one dataset in one commit; returns their ids.

    Raises `UsageError` where one is not complete, `LakeError` where the lake cannot be written.
    """
    rows = [_row(review) for review in reviews]
    frame = pl.DataFrame(rows, schema={n: c.dtype for n, c in TABLES["reviews"].columns().items()})
    name = f"reviews/{rows[0]['review_id']}"
    checked = TABLES["reviews"].validate(frame, cast=True)
    for attempt in range(TRIES):
        try:
            with _TURN:
                lake.append_once("reviews", checked, transaction=name, partition_by=["dataset_id"])
            return [str(row["review_id"]) for row in rows]
        except (DeltaError, OSError) as error:
            if attempt + 1 == TRIES:
                raise LakeError(
                    f"The review could not be written to the lake {lake.root} ({error}): check its permissions and "
                    "the space that is left, and say it again."
                ) from error
            time.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.01 * 2**attempt)))
    raise AssertionError("every attempt returns or raises")


def scan_reviews(lake: Lake, dataset_id: str) -> pl.LazyFrame:
    """Every review of a dataset, oldest first, those that were taken back too."""
    with reading(lake.root):
        table = _open(lake)
        if table is None:
            return TABLES["reviews"].create_empty().lazy()
        return pl.scan_delta(table).filter(pl.col("dataset_id") == dataset_id).sort("reviewed_at", "review_id")


def standing(reviews: pl.LazyFrame) -> pl.LazyFrame:
    """The reviews that were not taken back."""
    undone = reviews.select(review_id=pl.col("undoes")).drop_nulls()
    return reviews.filter(pl.col("verdict") != "undone").join(undone, on="review_id", how="anti", maintain_order="left")


def latest(reviews: pl.LazyFrame) -> pl.LazyFrame:
    """The last standing verdict on each sample, sets left out."""
    verdicts = standing(reviews).filter(pl.col("verdict") != "in set")
    return verdicts.sort("reviewed_at", "review_id").unique("sample_id", keep="last", maintain_order=True)


def _row(review: Review) -> dict[str, object]:
    if review.verdict not in VERDICTS:
        raise UsageError(f"The verdict {review.verdict[:40]!r} is none of {', '.join(VERDICTS)}.")
    if review.verdict == "wrong" and not review.label:
        raise UsageError("A label that is wrong needs the right one: name a class.")
    if not review.reviewer.strip():
        raise UsageError("A review needs the name of who says so.")
    return {
        "dataset_id": review.dataset_id,
        "review_id": uuid.uuid4().hex,
        "sample_id": review.sample_id,
        "verdict": review.verdict,
        "label": review.label,
        "note": review.note[:MAX_NOTE],
        "reviewer": review.reviewer.strip()[:MAX_NAME],
        "reviewed_at": dt.datetime.now(dt.UTC),
        "undoes": review.undoes,
    }


def _open(lake: Lake) -> DeltaTable | None:
    try:
        return DeltaTable(lake.uri("reviews"), storage_options=lake.options)
    except TableNotFoundError:
        return None
