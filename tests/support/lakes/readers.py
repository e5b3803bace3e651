"""A program that reads the latest run repeatedly until it is told to stop."""

READER = """
import json, sys
from pathlib import Path
import polars as pl
from lake.query import joined_samples, queries
from lake.storage.store import Lake
root, stop, told = sys.argv[1:]
reads, torn, errors, seen = 0, [], [], []
while not Path(stop).exists():
    try:
        run = Lake(root).run()
        pinned = {table["name"]: table["rows"] for table in run.facts["tables"]}
        found = {name: run.scan(name).select(pl.len()).collect().item() for name in pinned}
        rows = len(joined_samples.scan_samples(run).collect())
    except Exception as error:
        errors.append(repr(error))
        continue
    reads += 1
    seen = seen if run.run_id in seen else [*seen, run.run_id]
    if found != pinned or rows != pinned["predictions"]:
        torn.append(run.run_id)
    Path(told).write_text(str(reads))
print(json.dumps({"reads": reads, "torn": torn, "errors": errors, "seen": seen}))
"""
