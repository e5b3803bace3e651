"""Implementation of `latentlake status`: what readers see now, what was refused, and a refresh that has failed since.

`summarize(lake, now)` holds every number; `print_status` prints it for people.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import polars as pl

from lake.errors import LakeError
from lake.query import joined_samples, queries
from lake.query.refused import Refused, count_reasons, measure_refused, tell_reasons
from lake.storage.attempts import find_failed_attempt, tell_attempt
from lake.storage.damage import reading
from lake.storage.store import Lake, Run
from lake.text.formatting import percent, say_age
from pipeline.engine.consoles import open_console


@dataclass(frozen=True)
class Status:
    """The latest run of a lake, and the refresh that stopped because of its data since, as a row of `attempts`."""

    run: Run
    now: dt.datetime
    tested: int
    right: int
    mean_loss: float | None
    """In nats, of the labelled test samples; None without any."""
    refused: Refused
    reasons: pl.DataFrame
    """As `lake.query.refused.count_reasons`."""
    attempt: dict[str, Any] | None

    @property
    def rows(self) -> dict[str, int]:
        """Table -> number of rows."""
        return {table["name"]: table["rows"] for table in self.run.facts["tables"]}

    @property
    def age(self) -> dt.timedelta:
        """Time since the run was published."""
        age: dt.timedelta = self.now - self.run.facts["published_at"]
        return age

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values; shares lie between 0 and 1."""
        return {
            "run": self.run.run_id,
            "preset": self.run.facts["preset"],
            "dataset": self.run.facts["dataset_name"],
            "published": self.run.facts["published_at"].isoformat(),
            "age_hours": round(self.age.total_seconds() / 3600, 2),
            "accuracy": self.right / self.tested if self.tested else None,
            "mean_loss": self.mean_loss,
            "tested": self.tested,
            "samples": self.rows["samples"],
            "scored": self.rows["predictions"],
            "findings": self.rows["findings"],
            "refused": {
                "n": self.refused.count,
                "usable": self.refused.usable,
                "share": self.refused.share,
                "max_refused": self.refused.max_share,
                "reasons": self.reasons.to_dicts(),
            },
            "failed_attempt": self.attempt
            and self.attempt | {"attempted_at": self.attempt["attempted_at"].isoformat()},
        }


def look(lake: Lake, now: dt.datetime) -> Status:
    """Read the status of a lake; raises `LakeError` if it has no run, with the refresh that stopped if there is one."""
    attempt = find_failed_attempt(lake)
    if attempt is not None and lake.runs().is_empty():
        raise LakeError(f"{lake.tell_empty()} {tell_attempt(attempt, now)}")
    run = lake.run()
    test = joined_samples.scan_samples(run).filter(pl.col("split") == "test")
    with reading(lake.root):
        n, hits, loss = queries.accuracy(test).select("n", "hits", "mean_loss").collect().row(0)
        return Status(run, now, n, hits, loss if n else None, measure_refused(run), count_reasons(run), attempt=attempt)


def print_status(status: Status) -> None:
    """Print the status, one fact a line."""
    console, rows = open_console(), status.rows
    for heading, text in (*_list_facts(status, rows), *_list_faults(status)):
        console.print(f"{heading:<10} {text}", highlight=False, markup=False)


def _list_facts(status: Status, rows: dict[str, int]) -> list[tuple[str, str]]:
    facts, n = status.run.facts, status.tested
    test = f"{percent(status.right / n)} right of {n:,}, mean loss {status.mean_loss:.3f} nats" if n else None
    none = (
        "no labelled samples"
        if len(status.run.classes) > 1
        else "no model, as the images are of fewer than two classes"
    )
    return [
        ("run", f"{status.run.run_id} ({facts['preset']}, {facts['dataset_name']})"),
        ("published", f"{facts['published_at']:%Y-%m-%d %H:%M} UTC, {say_age(status.age)} ago"),
        ("test", test or none),
        ("samples", f"{rows['predictions']:,} scored of {rows['samples']:,}"),
        ("findings", f"{rows['findings']}"),
    ]


def _list_faults(status: Status) -> list[tuple[str, str]]:
    """What could not be used, with the reasons, and the refresh that stopped; empty if neither is the case."""
    lines = []
    if status.refused.count:
        warning = status.refused.to_warning(tested=status.tested > 0)
        lines.append(("refused", warning or f"{status.refused.to_words()}."))
        lines += [("", reason) for reason in tell_reasons(status.reasons)]
    if status.attempt is not None:
        lines.append(("attempt", tell_attempt(status.attempt, status.now)))
        lines += [("", reason) for reason in tell_reasons(pl.DataFrame(status.attempt["refused"]))]
    return lines
