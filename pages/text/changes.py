"""What changed since the run before: samples fixed and broken, findings new and gone, the figures of both runs."""

from dataclasses import dataclass
from typing import TypedDict

import polars as pl

from lake.comparison import cluster_matches
from lake.comparison import runs as compare
from lake.contracts.rows import rows_of
from lake.text.formatting import between
from pages.text.formatting import number, percent, plain

MAX_NAMES = 5
SHARE_FIGURES = ("share right", "calibration error")
GLOSSARY_WORDS = {"mean loss (nats)": "loss", "calibration error": "calibration", "temperature": "temperature"}
"""Figures that the glossary explains."""


@dataclass(frozen=True)
class ComparedRun:
    """The data of a run that is compared."""

    run_id: str
    samples: pl.LazyFrame
    findings: pl.DataFrame


@dataclass(frozen=True)
class ChangedFigure:
    """A headline figure of both runs on the same samples, with the 95 % interval of its change."""

    title: str
    now: str
    before: str
    interval: str
    word: str | None


def say_changes(now: ComparedRun, before: ComparedRun | None) -> list[str]:
    """Return the counts of changes with their test, and the findings of only one run; or why there are none."""
    if before is None:
        return ["This is the first run of this data."]
    pairs = compare.scan_pairs(now.samples, before.samples).collect()
    if pairs.is_empty():
        return [f"{compare.NOTHING_SHARED} The run before is {before.run_id}."]
    summary = f"Since {before.run_id}: {compare.count_changes(pairs).sentence()}"
    return [summary, *_say_findings(finding_changes(now, before))]


def finding_changes(now: ComparedRun, before: ComparedRun) -> pl.DataFrame:
    """The confirmed findings that only one of the runs has, clusters being matched by their members."""
    matches = cluster_matches.same_clusters(now.samples, before.samples)
    return compare.finding_changes(now.findings, before.findings, matches)


class FigureChange(TypedDict):
    """A row of `compare.figures` without the test."""

    figure: str
    now: float | None
    before: float | None
    low: float | None
    high: float | None


def tabulate_figures(figures: pl.DataFrame) -> list[ChangedFigure]:
    """The rows of `compare.figures` in words."""
    return [_say_figure(row, is_share=row["figure"] in SHARE_FIGURES) for row in rows_of(figures, FigureChange)]


def _say_figure(row: FigureChange, *, is_share: bool) -> ChangedFigure:
    now, before = (
        "–" if value is None else percent(value) if is_share else number(value) for value in (row["now"], row["before"])
    )
    title = row["figure"].removesuffix(" (nats)")
    return ChangedFigure(
        title[:1].upper() + title[1:], now, before, _interval(row, is_share=is_share), GLOSSARY_WORDS.get(row["figure"])
    )


def _interval(row: FigureChange, *, is_share: bool) -> str:
    """Return the 95 % interval of the change, or why there is none."""
    if row["low"] is None or row["high"] is None:
        return "set on validation"
    if is_share:
        return f"{between(row['low'] * 100, row['high'] * 100, '+.1f')} points"
    return between(row["low"], row["high"], "+.3f")


def _say_findings(changes: pl.DataFrame) -> list[str]:
    if changes.is_empty():
        return ["The same groups are findings as before."]
    lines = []
    for words, change in {"New findings": "new", "No longer found": "gone"}.items():
        names = changes.filter(change=change)["name"].to_list()
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        if names:
            lines.append(f"{words}: {plain('; '.join(names[:MAX_NAMES]))}{more}.")
    return lines
