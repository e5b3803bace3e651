"""The tiny run with files that could not be used, settings of its dataset, and what was understood of its source."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from lake.contracts.quality import LEFT_OUT
from lake.contracts.tables import make_frame
from lake.storage.store import Lake
from tests.support.lakes.tiny_lake import RUN_ID, run_facts, stage_all, tiny_tables

SAMPLES = 240
ROWS: list[dict[str, Any]] = [
    {"source_name": "cat/b.png", "reason": "truncated", "detail": "3 bytes are missing"},
    {"source_name": "cat/a.png", "reason": "truncated", "detail": ""},
    {"source_name": "notes.txt", "reason": "not an image", "detail": "none of the known formats"},
]
EXCLUDED = {"source_name": "cat/c.png", "reason": LEFT_OUT, "detail": "", "sample_id": 3}
UNDERSTOOD = ["Column 'y' holds the labels.", "Values from 0 to *4,095* are scaled to 8 bits."]
ASSUMED = [{"setting": "class_level", "value": "2", "sentence": "Folders of two levels may name the class."}]


def quarantine(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return make_frame("quarantine", rows).with_columns(dataset_id=pl.lit("tiny-240-0"))


def many(count: int) -> list[dict[str, Any]]:
    """Rows of that many files, all truncated."""
    return [{"source_name": f"cat/{i:04}.png", "reason": "truncated", "detail": "cut"} for i in range(count)]


def publish_refused_run(
    root: Path,
    rows: list[dict[str, Any]],
    *,
    usable: int | None = None,
    config: dict[str, Any] | None = None,
    **facts: Any,
) -> Lake:
    """A lake with one run of 240 samples; `usable` is the recorded number of files that could be used, if any."""
    lake, tables = Lake(root), tiny_tables()
    if usable is not None:
        metric = {"run_id": RUN_ID, "stage": "data", "name": "usable", "value": float(usable)}
        tables["metrics"] = pl.concat([tables["metrics"], pl.DataFrame([metric])], how="diagonal")
    stage_all(lake, tables | {"quarantine": quarantine(rows)})
    lake.publish(run_facts() | {"config": json.dumps(config or {})} | facts)
    return lake
