"""A lake whose class names are markup: cat is a script, dog a link and an image."""

import re
from typing import Any

import polars as pl

from lake.query.filters import Clause, Filters
from lake.storage.store import Lake
from tests.support.lakes.tiny_data import dataset_id_of
from tests.support.lakes.tiny_lake import run_facts, stage_all, tiny_tables

SCRIPT = "<script>alert('cat')</script>"
LINK = "[dog](https://example.org) ![*dog*](https://example.org/dog.png)"
NAMES = {"cat": SCRIPT, "dog": LINK}
NAMED = ("samples", "predictions", "cluster_summaries", "separation", "pooled_maps", "label_issues", "findings")
SAMPLES = 80


def build_hostile_lake(root: str) -> Lake:
    """Publish one run."""
    lake, tables = Lake(root), tiny_tables(samples=SAMPLES)
    for name in NAMED:
        tables[name] = pl.DataFrame(_renamed(tables[name].to_dicts()), schema=tables[name].schema)
    tables["loss_maps"] = tables["loss_maps"].with_columns(pl.col("target").replace(NAMES))
    stage_all(lake, tables)
    lake.publish(_renamed(run_facts(dataset_id=dataset_id_of(SAMPLES, 0), samples=SAMPLES)))
    return lake


def _renamed(value: Any) -> Any:
    """Replace every class name in the value, including those in filters written as in URLs."""
    if isinstance(value, dict):
        return {key: _filter(part) if key.endswith("filter") else _renamed(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_renamed(part) for part in value]
    return re.sub(r"\b(cat|dog)\b", lambda found: NAMES[found[0]], value) if isinstance(value, str) else value


def _filter(text: str) -> str:
    clauses = [
        Clause(column=c.column, op=c.op, values=tuple(NAMES.get(value, value) for value in c.values))
        for c in Filters.from_text(text).clauses
    ]
    return Filters(clauses=tuple(clauses)).to_text()
