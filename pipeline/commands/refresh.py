"""Implementation of `latentlake refresh`: whether it is due, whether anything is new, and a summary for schedulers."""

import datetime as dt
import gc
import json
import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lake.errors import EXIT_OK, RetryLater, UsageError, UserError
from lake.storage.attempts import clear_attempt
from lake.storage.store import Lake
from pipeline.config import caches
from pipeline.data.dataset_id import data_name
from pipeline.engine.progress import Progress
from pipeline.settings import Settings

UNITS = {"m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class RefreshOptions:
    """How to run this refresh."""

    force: bool = False
    accept: bool = False
    """Whether to take the suggestions for what is unclear about the data."""
    if_stale: str | None = None
    max_hours: float | None = None


def run(settings: Settings, options: RefreshOptions) -> dict[str, object]:
    """Refresh if it is due and anything is new; returns the summary.

    Raises `UserError` with advice, and `RetryLater` if it is not due, another refresh is running, or time is up.
    """
    hours = options.max_hours
    if hours is not None and not 0 < hours < math.inf:
        raise UsageError(f"--max-hours {hours:g}: give a number of hours above 0.")
    started = time.monotonic()
    caches.settle(settings.work_dir)
    lake = Lake(settings.lake)
    if options.if_stale:
        _wait_until_stale(lake, parse_duration(options.if_stale))
    with _uncollected():
        from pipeline.refresh.unchanged import find_answer  # needs the extra `train`

    progress = Progress(hours=hours, bars=settings.log == "text")
    same = None if options.force else find_answer(settings, lake)
    if same:
        progress.say(f"Nothing new: data, settings and code are the same as for {same}.")
        clear_attempt(lake, data_name(settings))
        return summarize(lake, same, published=False, seconds=time.monotonic() - started)
    with _uncollected():
        from pipeline.refresh.refresh import refresh  # takes seconds to import

    outcome = refresh(settings, progress, force=options.force, accept=options.accept)
    return summarize(lake, outcome.run_id, published=outcome.published, seconds=time.monotonic() - started)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Import modules without garbage collection, now or at exit: it would take seconds for objects that stay anyway."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def summarize(lake: Lake, run_id: str, *, published: bool, seconds: float) -> dict[str, object]:
    """The summary for a scheduler, as JSON-serialisable values."""
    run = lake.run(run_id)
    return {
        "status": "published" if published else "nothing new",
        "exit_code": EXIT_OK,
        "run_id": run_id,
        "published_at": run.facts["published_at"].isoformat(),
        "seconds": round(seconds, 1),
        "rows": {table["name"]: table["rows"] for table in run.facts["tables"]},
        "checks": run.facts["checks"],
        "test_accuracy": run.metric("score", "test_accuracy"),
        "forced": run.facts["forced"],
    }


def summarize_failure(error: UserError) -> dict[str, object]:
    """The summary of a refresh that failed."""
    return {"status": error.status, "exit_code": error.exit_code, "message": str(error)}


def to_json(summary: dict[str, object]) -> str:
    """The summary as one line of JSON."""
    return json.dumps(summary)


def parse_duration(text: str) -> dt.timedelta:
    """ "90m", "24h" or "7d"; raises `UsageError` for anything else."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([mhd])", text.strip())
    if not match:
        raise UsageError(f"--if-stale {text[:40]!r}: expected minutes, hours or days such as 90m, 24h or 7d.")
    return dt.timedelta(seconds=float(match[1]) * UNITS[match[2]])


def _wait_until_stale(lake: Lake, limit: dt.timedelta) -> None:
    """Raises `RetryLater` while the latest run is younger; one from the future (clock set back) counts as stale."""
    runs = lake.runs()
    if runs.is_empty():
        return
    age = dt.datetime.now(dt.UTC) - runs["published_at"][0]
    if dt.timedelta(0) <= age < limit:
        raise RetryLater(
            f"Not due: the latest run is {age.total_seconds() / 3600:.1f} hours old, and the next refresh is due "
            f"after {limit.total_seconds() / 3600:g} hours."
        )
