"""What changed since the run before: samples fixed and broken, findings new and gone, the figures of both runs."""

from dataclasses import dataclass
from typing import TypedDict

import polars as pl

from lake.comparison import cluster_matches
from lake.comparison import runs as compare
from lake.contracts.rows import rows_of
from lake.text.formatting import between
from pages.text.words import number, percent, plain

NAMED = 5
SHARES = ("share right", "calibration error")
WORDS = {"mean loss (nats)": "loss", "calibration error": "calibration", "temperature": "temperature"}
"""Figures that the glossary explains."""


@dataclass(frozen=True)
class Measured:
    """What is compared of a run."""

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


def say_changes(now: Measured, before: Measured | None) -> list[str]:
    """The counts with their test, then the findings of one run only; or why there is nothing to compare."""
    if before is None:
        return ["This is the first run of this data."]
    pairs = compare.scan_pairs(now.samples, before.samples).collect()
    if pairs.is_empty():
        return [f"{compare.NOTHING_SHARED} The run before is {before.run_id}."]
    counted = f"Since {before.run_id}: {compare.count_changes(pairs).sentence()}"
    return [counted, *_say_findings(finding_changes(now, before))]


def finding_changes(now: Measured, before: Measured) -> pl.DataFrame:
    """The confirmed findings that only one of the runs has, clusters being matched by their members."""
    matched = cluster_matches.same_clusters(now.samples, before.samples)
    return compare.finding_changes(now.findings, before.findings, matched)


class FigureChange(TypedDict):
    """A row of `compare.figures`, but for its test."""

    figure: str
    now: float | None
    before: float | None
    low: float | None
    high: float | None


def tabulate_figures(figures: pl.DataFrame) -> list[ChangedFigure]:
    """The rows of `compare.figures` in words."""
    return [_say_figure(row, is_share=row["figure"] in SHARES) for row in rows_of(figures, FigureChange)]


def _say_figure(row: FigureChange, *, is_share: bool) -> ChangedFigure:
    now, before = (
        "–" if value is None else percent(value) if is_share else number(value) for value in (row["now"], row["before"])
    )
    title = row["figure"].removesuffix(" (nats)")
    return ChangedFigure(
        title[:1].upper() + title[1:], now, before, _interval(row, is_share=is_share), WORDS.get(row["figure"])
    )


def _interval(row: FigureChange, *, is_share: bool) -> str:
    """The 95 % interval of the change; that there is none where the figure is no estimate."""
    if row["low"] is None or row["high"] is None:
        return "set on validation"
    if is_share:
        return f"{between(row['low'] * 100, row['high'] * 100, '+.1f')} points"
    return between(row["low"], row["high"], "+.3f")


def _say_findings(found: pl.DataFrame) -> list[str]:
    if found.is_empty():
        return ["The same groups are findings as before."]
    lines = []
    for words, change in {"New findings": "new", "No longer found": "gone"}.items():
        names = found.filter(change=change)["name"].to_list()
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        if names:
            lines.append(f"{words}: {plain('; '.join(names[:NAMED]))}{more}.")
    return lines
