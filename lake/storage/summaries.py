"""One-line summaries of lakes and runs, used as their `repr`."""

from typing import TYPE_CHECKING

from lake.errors import LakeError
from lake.text.formatting import percent

if TYPE_CHECKING:
    from lake.storage.store import Lake, Run


def summarize_run(run: "Run") -> str:
    """Summarise a run: id, dataset, samples, classes, publication time (UTC) and test accuracy (omitted if unknown)."""
    facts = run.facts
    rows = {table["name"]: table["rows"] for table in facts["tables"]}
    parts = [
        f"{facts['dataset_name']}, {rows['samples']:,} samples of {len(run.classes)} classes",
        f"published {facts['published_at']:%Y-%m-%d %H:%M} UTC",
        *_test_accuracy(run),
    ]
    return f"<Run {run.run_id}: {'; '.join(parts)}>"


def summarize_lake(lake: "Lake") -> str:
    """Summarise a lake: root, number of runs and latest run, or that it cannot be read."""
    try:
        runs = lake.runs()
    except LakeError:
        return f"<Lake {lake.root}: cannot be read>"
    if runs.is_empty():
        return f"<Lake {lake.root}: no published run yet>"
    return (
        f"<Lake {lake.root}: {len(runs)} published {'run' if len(runs) == 1 else 'runs'}, latest {runs['run_id'][0]}>"
    )


def _test_accuracy(run: "Run") -> list[str]:
    try:
        value = run.metric("score", "test_accuracy")
    except LakeError:
        return []
    return [] if value is None else [f"test accuracy {percent(value)}"]
