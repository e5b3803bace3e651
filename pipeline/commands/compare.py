"""Comparison of two runs by `latentlake compare`: complete as JSON, or the essence as a table.

`summarise(now, before)` derives every number from `lake`, as the page Compare does.
"""

from collections.abc import Iterator
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lake.comparison import cluster_matches, drift, projection_drift
from lake.comparison import runs as compare
from lake.comparison.drift import Drift
from lake.contracts.clusters import METHODS
from lake.query import joined_samples, queries
from lake.storage.store import Run
from lake.text.formatting import between, p_value
from pipeline.findings.candidate_groups import METHOD_NAMES

MOVED_SAMPLES, LISTED = 20, 5
Summary = dict[str, Any]


def summarise(now: Run, before: Run) -> Summary:
    """The whole comparison as JSON-serialisable values; for runs of different data, only the comparison of the data."""
    head: Summary = {"run": now.run_id, "before": before.run_id, "same_data": now.dataset_id == before.dataset_id}
    drifts = {"between_runs": drift.run_drift(now, before), "between_splits": drift.split_drift(now)}
    drift_summary = {name: _of_drift(result) for name, result in drifts.items()}
    if now.dataset_id != before.dataset_id:
        return head | {"sentence": compare.say_other_data(now, before), "drift": drift_summary}
    samples, earlier = (joined_samples.scan_samples(run).collect().lazy() for run in (now, before))
    pairs = compare.scan_pairs(samples, earlier).collect()
    if pairs.is_empty():
        return head | {"sentence": compare.NOTHING_SHARED, "drift": drift_summary}
    clustered = _have(now, before, "clusters")
    matched = cluster_matches.same_clusters(samples, earlier)
    findings, earlier_findings = (run.scan("findings").collect() for run in (now, before))
    return head | {
        **_of_samples(pairs, METHODS if now.has("clusters") else []),
        "figures": compare.figures(now, before, pairs).to_dicts(),
        "matrix": queries.confusion_difference(samples, earlier).collect().to_dicts(),
        **({"map": _of_projection(samples, earlier)} if _have(now, before, "projection") else {}),
        "clusters": {method: _of_clusters(samples, earlier, method) for method in METHODS if clustered},
        "findings": compare.finding_changes(findings, earlier_findings, matched).to_dicts(),
        "drift": drift_summary,
        "stages": compare.stage_times(now, before).to_dicts(),
    }


def print_summary(summary: Summary) -> None:
    """Print the essence: the summary sentence, the headline figures, and one line for each other aspect."""
    console = Console()
    console.print(f"run {summary['run']} compared with {summary['before']}", highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(summary['sentence'])}[/]", highlight=False, soft_wrap=True)
    if "figures" in summary:
        console.print(_figures(summary["figures"]))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for aspect, text in _lines(summary):
        table.add_row(aspect, escape(text))
    console.print(table, highlight=False)


def _have(now: Run, before: Run, table: str) -> bool:
    """Whether both runs have rows of a table; runs of external predictions may not."""
    return now.has(table) and before.has(table)


def _of_samples(pairs: pl.DataFrame, methods: list[str]) -> Summary:
    changes = compare.count_changes(pairs)
    low, high = changes.interval
    by = {"classes": "label"} | {f"{METHOD_NAMES[m]} groups": joined_samples.cluster_column(m) for m in methods}
    losses = {grouping: compare.loss_changes(pairs, column) for grouping, column in by.items()}
    counts = {"n": changes.n, "fixed": changes.fixed, "broken": changes.broken, "wrong": changes.wrong}
    return {
        "sentence": changes.sentence(),
        "samples": counts | {"difference": changes.difference, "low": low, "high": high, "p": changes.p},
        "losses": {
            grouping: {"sentence": compare.say_loss_changes(rows, grouping), "rows": rows.to_dicts()}
            for grouping, rows in losses.items()
        },
    }


def _of_projection(now: pl.LazyFrame, before: pl.LazyFrame) -> Summary:
    alignment, moves = projection_drift.measure_moves(now, before)
    classes = projection_drift.class_moves(moves, alignment.radius)
    most = moves.sort("moved", "sample_id", descending=[True, False]).head(MOVED_SAMPLES)
    return vars(alignment) | {
        "sentence": f"{alignment.sentence()} {projection_drift.say_moves(classes)}",
        "classes": classes.to_dicts(),
        "samples": most.select("sample_id", "label", "moved").to_dicts(),
    }


def _of_clusters(now: pl.LazyFrame, before: pl.LazyFrame, method: str) -> Summary:
    matches = cluster_matches.match_clusters(now, before, method)
    counts = cluster_matches.count_events(matches)
    return {"sentence": cluster_matches.say_matches(matches), "counts": counts, "rows": matches.to_dicts()}


def _of_drift(result: Drift | str) -> Summary:
    if isinstance(result, str):
        return {"sentences": [result]}
    return {"sentences": result.sentences()} | {
        name: frame.to_dicts() for name, frame in {"properties": result.properties, "spaces": result.spaces}.items()
    }


def _figures(rows: list[Summary]) -> Table:
    table = Table("", "now", "before", "change (95 %)", "p", box=None, header_style="bold")
    for row in rows:
        interval = "" if row["low"] is None else f" ({between(row['low'], row['high'], '+.3f')})"
        now, before, change = ("–" if row[key] is None else f"{row[key]:.3f}" for key in ("now", "before", "change"))
        table.add_row(row["figure"], now, before, f"{change}{interval}", "" if row["p"] is None else p_value(row["p"]))
    return table


def _lines(summary: Summary) -> Iterator[tuple[str, str]]:
    """One sentence for each aspect besides the samples."""
    for grouping, changes in summary.get("losses", {}).items():
        yield f"loss of {grouping}", changes["sentence"]
    if "map" in summary:
        yield "map", summary["map"]["sentence"]
    for method, matches in summary.get("clusters", {}).items():
        yield f"{METHOD_NAMES[method]} groups", matches["sentence"]
    if "findings" in summary:
        for change in ("new", "gone"):
            names = [row["name"] for row in summary["findings"] if row["change"] == change]
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            yield f"findings {change}", f"{len(names)}: {'; '.join(names[:LISTED])}{more}" if names else "none"
    for kind, drifts in summary["drift"].items():
        yield f"drift {kind.replace('_', ' ')}", " ".join(drifts["sentences"])
    if "stages" in summary:
        yield "seconds per stage", compare.say_stage_times(pl.DataFrame(summary["stages"]))
