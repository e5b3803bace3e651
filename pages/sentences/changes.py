"""What changed since the run before, in a few lines: samples fixed and broken, findings new and gone."""

from dataclasses import dataclass

import polars as pl

from lake import cluster_matches, compare
from pages.ui.words import plain

NAMED = 5


@dataclass(frozen=True)
class Measured:
    """What is compared of a run."""

    run_id: str
    samples: pl.LazyFrame
    findings: pl.DataFrame


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
