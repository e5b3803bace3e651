"""Remove runs that are old and what refreshes that crashed left, without touching what anybody can have open.

The order lets a kill at any moment leave a readable lake and the next call finish: first the rows in `runs`, then the
rows in the other tables that belong to no run, then, when no reader can have them open, the files.
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

PINNED = (*DATASET_TABLES, *RUN_TABLES)
UNFINISHED_HOURS = 24
MIB = 2**20

Pins = dict[str, dict[str, int]]
"""Run id -> table -> version."""


@dataclass(frozen=True)
class Retention:
    """What stays: the newest `runs`, those younger than `days`, and for `hours` the files of what was removed."""

    runs: int
    days: float
    hours: int


@dataclass(frozen=True)
class Removed:
    """What went: ids of runs and of rows that crashed refreshes left (orphans), files; and MiB that have to wait."""

    runs: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    files: int = 0
    mib: float = 0.0
    waiting_mib: float = 0.0
    dry_run: bool = False

    def to_sentence(self, hours: int) -> str:
        """One line for people; `hours` is how long files of what was removed stay."""
        verb = "Would remove" if self.dry_run else "Removed"
        counts = f"runs: {len(self.runs)}, orphans: {len(self.orphans)}, files: {self.files} ({self.mib:.1f} MiB)"
        return f"{verb} {counts}. Files to go when {hours} hours are over: {self.waiting_mib:.1f} MiB."


def collect_garbage(lake: Lake, retention: Retention, *, alone: bool, dry_run: bool = False) -> Removed:
    """Remove what `retention` lets go; a dry run only says what would be removed.

    `alone` says that no refresh is running; else what nobody has published goes only when it is a day old. The latest
    run of each dataset always stays, one that was refused as many days, and what people said or saved is never touched.
    Raises `LakeError`, `RetryLater`.
    """
    with reading(lake.root):
        runs = lake.runs()
        if runs.is_empty():  # a copy without its `runs`, more likely than a first refresh that crashed
            return Removed(dry_run=dry_run)
        expired = _expired(runs, retention)
        kept = runs.filter(~pl.col("run_id").is_in(expired))
        claimed = {*kept["run_id"], *kept["dataset_id"], *_refused(lake, retention)}
        doomed = {name: _unclaimed(lake, name, claimed, expired, alone=alone) for name in _existing(lake, PINNED)}
    if not dry_run:
        _remove_rows(lake, expired, doomed)
    with reading(lake.root):
        pins = _renewed_pins(lake, kept, doomed)
    if not dry_run:
        _pin(lake, pins)
    files, freed, waiting = _delete_files(lake, pins, retention.hours, dry_run=dry_run)
    if dry_run:
        with reading(lake.root):
            waiting += sum(_size(lake, name, keys) for name, keys in doomed.items())
    orphans = sorted({key for keys in doomed.values() for key in keys} - set(expired))
    return Removed(expired, orphans, files, round(freed / MIB, 2), round(waiting / MIB, 2), dry_run)


def _expired(runs: pl.DataFrame, retention: Retention) -> list[str]:
    """Runs, newest first, that are neither among the newest, nor young, nor the last of their dataset."""
    young = dt.datetime.now(dt.UTC) - dt.timedelta(days=retention.days)
    last_of_dataset = runs.unique("dataset_id", keep="first", maintain_order=True)["run_id"]
    rest = runs.slice(max(1, retention.runs)).filter(pl.col("published_at") < young)
    return rest.filter(~pl.col("run_id").is_in(last_of_dataset.to_list()))["run_id"].to_list()


def _existing(lake: Lake, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if lake.exists(name)]


def _refused(lake: Lake, retention: Retention) -> list[str]:
    """Runs that were kept from readers lately: their rows stay for whoever looks into them."""
    young = dt.datetime.now(dt.UTC) - dt.timedelta(days=retention.days)
    return lake.rejected().filter(pl.col("rejected_at") >= young)["run_id"].to_list()


def _unclaimed(lake: Lake, name: str, claimed: set[str], expired: list[str], *, alone: bool) -> list[str]:
    """Keys of rows that nobody claims, at the table's newest version."""
    keys = list_files(lake.open(name), name).group_by("key").agg(pl.col("written").max())
    unclaimed = keys.filter(~pl.col("key").is_in(sorted(claimed)))
    if not alone:
        old = dt.datetime.now(dt.UTC) - dt.timedelta(hours=UNFINISHED_HOURS)
        unclaimed = unclaimed.filter((pl.col("written") < old) | pl.col("key").is_in(expired))
    return unclaimed["key"].sort().to_list()


def _remove_rows(lake: Lake, expired: list[str], doomed: dict[str, list[str]]) -> None:
    if expired:
        _change_runs(lake, lambda runs: runs.filter(~pl.col("run_id").is_in(expired)))
    for name, keys in doomed.items():
        if keys:
            with writing(lake.root):
                table = lake.open_to_write(name)
                assert table is not None, "it was listed"
                quoted = ", ".join("'" + key.replace("'", "''") + "'" for key in keys)
                table.delete(f"{key_column(name)} in ({quoted})")


def _renewed_pins(lake: Lake, kept: pl.DataFrame, doomed: dict[str, list[str]]) -> Pins:
    """The version at which each run is to be read: a table's newest one where that has the same files of the run.

    A version holds the files of every run that was there at its time, so runs that stay would hold those that go.
    """
    newest = {name: lake.open(name) for name in doomed}
    live = {name: _without(list_files(table, name), doomed[name]) for name, table in newest.items()}

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
        for run in kept.iter_rows(named=True)
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
    """Replace the rows of `runs` in one commit; one appended meanwhile stays as it is."""
    with writing(lake.root):
        table = lake.open("runs")
        runs = pl.scan_delta(table).collect()
        changed = change(runs)
        if not changed.equals(runs):
            lake.replace("runs", table, changed)


def _delete_files(lake: Lake, pins: Pins, hours: int, *, dry_run: bool) -> tuple[int, int, int]:
    """Delete files that no pinned version holds and that were let go `hours` ago: files, bytes, bytes still to go."""
    files = freed = waiting = 0
    for name in _existing(lake, ("runs", *PINNED)):
        with writing(lake.root):
            table = lake.open(name) if dry_run or name == "runs" else lake.open_to_write(name)
            assert table is not None, "it was listed"
            keep = sorted({tables[name] for tables in pins.values() if name in tables})
            # by default it refuses less than a week, and looks no further back than the last checkpoint
            how = {"enforce_retention_duration": False, "full": True, "keep_versions": keep or None}
            vacuum = partial(lake.delete_files, table, name, **how)
            # vacuum also lists what it has deleted already
            every = find_sizes(lake.uri(name), vacuum(retention_hours=0, dry_run=True), lake.options)
            now = every.keys() & set(vacuum(retention_hours=hours, dry_run=True)) if every else set()
            files, freed = files + len(now), freed + sum(every[path] for path in now)
            waiting += sum(size for path, size in every.items() if path not in now)
            if now and not dry_run:
                vacuum(retention_hours=hours, dry_run=False)
    return files, freed, waiting


def _size(lake: Lake, name: str, keys: list[str]) -> int:
    return int(list_files(lake.open(name), name).filter(pl.col("key").is_in(keys))["bytes"].sum())


def _without(files: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    return files.filter(~pl.col("key").is_in(keys))
