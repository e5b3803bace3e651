"""Garbage collection: remove old runs and leftovers of crashed refreshes without disturbing readers.

The order of removal is crash-safe: the lake stays readable after an interruption and the next call finishes the work.
First go the rows of `runs`, then rows of other tables that belong to no run, and finally files, once no reader can have
them open.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from lake.contracts.tables import DATASET_TABLES, RUN_TABLES, key_column
from lake.storage.damage import reading, writing
from lake.storage.files import find_sizes, list_files
from lake.storage.store import Lake

PINNED_TABLES = (*DATASET_TABLES, *RUN_TABLES)
UNFINISHED_HOURS = 24
MIB = 2**20

Pins = dict[str, dict[str, int]]
"""Run id -> table -> version."""


@dataclass(frozen=True)
class Retention:
    """What is kept: the newest `runs`, runs younger than `days`, and files of removed rows for `hours`."""

    runs: int
    days: float
    hours: int


@dataclass(frozen=True)
class Removed:
    """What was removed: run ids, keys of rows left by crashed refreshes (orphans) and files; MiB not yet deletable."""

    runs: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    files: int = 0
    mib: float = 0.0
    waiting_mib: float = 0.0
    dry_run: bool = False

    def to_sentence(self, hours: int) -> str:
        """Return a one-line summary; `hours` is how long files of removed rows are kept."""
        verb = "Would remove" if self.dry_run else "Removed"
        counts = f"runs: {len(self.runs)}, orphans: {len(self.orphans)}, files: {self.files} ({self.mib:.1f} MiB)"
        return f"{verb} {counts}. Waiting to be deleted after {hours} hours: {self.waiting_mib:.1f} MiB."


def collect_garbage(lake: Lake, retention: Retention, *, alone: bool, dry_run: bool = False) -> Removed:
    """Remove what `retention` does not keep; a dry run only reports it.

    `alone` states that no refresh is running; otherwise unpublished rows are removed only if they are a day old. The
    latest run of each dataset is always kept, rejected runs are kept for `days`, and reviews and saved views are never
    removed. Raises `LakeError`, `RetryLater`.
    """
    with reading(lake.root):
        runs = lake.runs()
        if runs.is_empty():  # more likely a copy without `runs` than a crashed first refresh
            return Removed(dry_run=dry_run)
        expired = _expired(runs, retention)
        kept_runs = runs.filter(~pl.col("run_id").is_in(expired))
        claimed_keys = {*kept_runs["run_id"], *kept_runs["dataset_id"], *_recently_rejected(lake, retention)}
        doomed_keys = {
            name: _unclaimed(lake, name, claimed_keys, expired, alone=alone) for name in _existing(lake, PINNED_TABLES)
        }
    if not dry_run:
        _remove_rows(lake, expired, doomed_keys)
    with reading(lake.root):
        pins = _renewed_pins(lake, kept_runs, doomed_keys)
    if not dry_run:
        _pin(lake, pins)
    files, freed, waiting = _delete_files(lake, pins, retention.hours, dry_run=dry_run)
    if dry_run:
        with reading(lake.root):
            waiting += sum(_size(lake, name, keys) for name, keys in doomed_keys.items())
    orphans = sorted({key for keys in doomed_keys.values() for key in keys} - set(expired))
    return Removed(expired, orphans, files, round(freed / MIB, 2), round(waiting / MIB, 2), dry_run)


def _expired(runs: pl.DataFrame, retention: Retention) -> list[str]:
    """Return the runs that are not among the newest, not young and not the latest of their dataset, newest first."""
    cutoff = dt.datetime.now(dt.UTC) - dt.timedelta(days=retention.days)
    last_of_dataset = runs.unique("dataset_id", keep="first", maintain_order=True)["run_id"]
    rest = runs.slice(max(1, retention.runs)).filter(pl.col("published_at") < cutoff)
    return rest.filter(~pl.col("run_id").is_in(last_of_dataset.to_list()))["run_id"].to_list()


def _existing(lake: Lake, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if lake.exists(name)]


def _recently_rejected(lake: Lake, retention: Retention) -> list[str]:
    """Return the recently rejected runs, whose rows are kept for inspection."""
    cutoff = dt.datetime.now(dt.UTC) - dt.timedelta(days=retention.days)
    return lake.rejected().filter(pl.col("rejected_at") >= cutoff)["run_id"].to_list()


def _unclaimed(lake: Lake, name: str, claimed_keys: set[str], expired: list[str], *, alone: bool) -> list[str]:
    """Return the keys of unclaimed rows at the newest version of the table."""
    keys = list_files(lake.open(name), name).group_by("key").agg(pl.col("written").max())
    unclaimed = keys.filter(~pl.col("key").is_in(sorted(claimed_keys)))
    if not alone:
        cutoff = dt.datetime.now(dt.UTC) - dt.timedelta(hours=UNFINISHED_HOURS)
        unclaimed = unclaimed.filter((pl.col("written") < cutoff) | pl.col("key").is_in(expired))
    return unclaimed["key"].sort().to_list()


def _remove_rows(lake: Lake, expired: list[str], doomed_keys: dict[str, list[str]]) -> None:
    if expired:
        _change_runs(lake, lambda runs: runs.filter(~pl.col("run_id").is_in(expired)))
    for name, keys in doomed_keys.items():
        if keys:
            with writing(lake.root):
                table = lake.open_to_write(name)
                assert table is not None, "it was listed"
                quoted = ", ".join("'" + key.replace("'", "''") + "'" for key in keys)
                table.delete(f"{key_column(name)} in ({quoted})")


def _renewed_pins(lake: Lake, kept_runs: pl.DataFrame, doomed_keys: dict[str, list[str]]) -> Pins:
    """Return the versions to pin for each run: the newest version of a table if its files of the run are unchanged.

    An old version references the files of all runs of its time, so kept runs would retain the files of removed ones.
    """
    newest = {name: lake.open(name) for name in doomed_keys}
    live = {name: _without(list_files(table, name), doomed_keys[name]) for name, table in newest.items()}

    def renewed(name: str, version: int, key: str) -> int:
        if name not in newest or version == newest[name].version():
            return version
        pinned = lake.open(name, version)
        files = list_files(pinned, name)
        holds_removed = not set(files["path"]) <= set(live[name]["path"])
        unchanged = set(files.filter(key=key)["path"]) == set(live[name].filter(key=key)["path"])
        same_columns = pinned.schema() == newest[name].schema()
        return newest[name].version() if holds_removed and unchanged and same_columns else version

    return {
        run["run_id"]: {t["name"]: renewed(t["name"], t["version"], run[key_column(t["name"])]) for t in run["tables"]}
        for run in kept_runs.iter_rows(named=True)
    }


def _pin(lake: Lake, pins: Pins) -> None:
    def pinned(runs: pl.DataFrame) -> pl.DataFrame:
        tables = [
            [table | {"version": pins.get(run_id, {}).get(table["name"], table["version"])} for table in tables]
            for run_id, tables in runs.select("run_id", "tables").iter_rows()
        ]
        return runs.with_columns(tables=pl.Series(tables, dtype=runs.schema["tables"]))

    if pins:
        _change_runs(lake, pinned)


def _change_runs(lake: Lake, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Replace the rows of `runs` in one commit; rows appended concurrently are kept."""
    with writing(lake.root):
        table = lake.open("runs")
        runs = pl.scan_delta(table).collect()
        changed = change(runs)
        if not changed.equals(runs):
            lake.replace("runs", table, changed)


def _delete_files(lake: Lake, pins: Pins, hours: int, *, dry_run: bool) -> tuple[int, int, int]:
    """Delete files not pinned and unreferenced for `hours`; return files, bytes deleted and bytes not yet deletable."""
    files = freed = waiting = 0
    for name in _existing(lake, ("runs", *PINNED_TABLES)):
        with writing(lake.root):
            table = lake.open(name) if dry_run or name == "runs" else lake.open_to_write(name)
            assert table is not None, "it was listed"
            versions = sorted({tables[name] for tables in pins.values() if name in tables})
            # by default, vacuum refuses less than a week and looks back only to the last checkpoint
            options = {"enforce_retention_duration": False, "full": True, "keep_versions": versions or None}
            vacuum = partial(lake.delete_files, table, name, **options)
            # vacuum also lists files that it has already deleted
            sizes = find_sizes(lake.uri(name), vacuum(retention_hours=0, dry_run=True), lake.options)
            deletable = sizes.keys() & set(vacuum(retention_hours=hours, dry_run=True)) if sizes else set()
            files, freed = files + len(deletable), freed + sum(sizes[path] for path in deletable)
            waiting += sum(size for path, size in sizes.items() if path not in deletable)
            if deletable and not dry_run:
                vacuum(retention_hours=hours, dry_run=False)
    return files, freed, waiting


def _size(lake: Lake, name: str, keys: list[str]) -> int:
    return int(list_files(lake.open(name), name).filter(pl.col("key").is_in(keys))["bytes"].sum())


def _without(files: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    return files.filter(~pl.col("key").is_in(keys))
