"""Refreshes that stopped because of their data, before anything was computed: told until a later one succeeds."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from typing import Any

import polars as pl

from lake.contracts.validation import polars_schema, validated
from lake.storage.damage import writing
from lake.storage.store import Lake
from lake.text.formatting import say_age


def record_attempt(lake: Lake, dataset_name: str, message: str, refused: Iterable[tuple[str, str, str]]) -> None:
    """Record that a refresh stopped; `refused` holds name, reason and detail of everything that could not be used.

    Raises `LakeError` if the lake cannot be written.
    """
    now = dt.datetime.now(dt.UTC)
    row = {
        "attempted_at": now,
        "dataset_name": dataset_name,
        "message": message,
        "refused": count_refused(refused),
    }
    frame = validated("attempts", pl.DataFrame([row], schema=polars_schema("attempts")))
    with writing(lake.root):
        lake.append_once("attempts", frame, transaction=f"attempt/{now.isoformat()}")


def clear_attempt(lake: Lake, dataset_name: str) -> None:
    """Record that a refresh found nothing new, if the last one of the dataset stopped. Raises `LakeError` likewise."""
    if any(row["dataset_name"] == dataset_name for row in _find_failed(lake)):
        record_attempt(lake, dataset_name, "", [])


def find_failed_attempt(lake: Lake) -> dict[str, Any] | None:
    """Return the last attempt as a row of `attempts`; None if there is none, or its data were refreshed since."""
    return next(iter(_find_failed(lake)), None)


def _find_failed(lake: Lake) -> list[dict[str, Any]]:
    """The last attempt of each dataset that stopped and has no later run, newest first."""
    newest = lake.read_newest("attempts").sort("attempted_at", descending=True).unique("dataset_name", keep="first")
    published = lake.runs().group_by("dataset_name").agg(pl.col("published_at").max())
    failed = newest.filter(pl.col("message") != "").join(published, on="dataset_name", how="left")
    is_last = pl.col("published_at").is_null() | (pl.col("published_at") < pl.col("attempted_at"))
    return failed.filter(is_last).drop("published_at").sort("attempted_at", descending=True).rows(named=True)


def count_refused(refused: Iterable[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Return each reason with its count and the name and detail of its first entry, most frequent first."""
    counts: Counter[str] = Counter()
    first: dict[str, tuple[str, str]] = {}
    for name, reason, detail in refused:
        counts[reason] += 1
        first.setdefault(reason, (name, detail))
    return [
        {"reason": reason, "n": n, "example": first[reason][0], "detail": first[reason][1]}
        for reason, n in counts.most_common()
    ]


def tell_attempt(attempt: dict[str, Any], now: dt.datetime) -> str:
    """Return the sentence on a row of `attempts`, with all lines of its message."""
    age = say_age(now - attempt["attempted_at"])
    return f"The last refresh of {attempt['dataset_name']} stopped {age} ago: {attempt['message']}"
