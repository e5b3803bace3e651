"""Garbage collection: what is old goes, what anybody can have open stays, and a kill at any moment costs nothing."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import polars as pl
import pytest
from deltalake import DeltaTable, Field, PostCommitHookProperties
from deltalake.schema import PrimitiveType
from filelock import FileLock

import lake.storage.gc as gc
from lake.contracts.tables import DATASET_TABLES, RUN_TABLES, TABLES, UNPINNED, USER_TABLES
from lake.errors import LakeError
from lake.query.reviews import Review, add_reviews, scan_reviews
from lake.query.saved_views import View, save_view, scan_views
from lake.storage.gc import Removed, Retention, collect_garbage
from lake.storage.store import Lake, Run
from tests.support.lakes.raw_tables import folder_of, write_raw
from tests.support.lakes.tiny_lake import build_tiny_lake, stage_all, tiny_tables
from tests.support.lakes.two_runs import FIRST, SAMPLES, SECOND, contents, facts_of, run_ids
from tests.support.paths import REPOSITORY
from tests.support.processes.commands import latentlake

OTHER, OLD, MIDDLE, NEW = (f"20260101-00000{i}-aaaaaa" for i in range(4))
DAYS = {OTHER: 50, OLD: 40, MIDDLE: 20, NEW: 0}
ONLY_NEWEST = Retention(runs=1, days=0, hours=0)


@pytest.fixture(scope="module")
def built_four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of 50, 40, 20 and 0 days, the first of another dataset, the second measured with other properties."""
    root = tmp_path_factory.mktemp("four") / "lake"
    for run_id in DAYS:
        lake = build_tiny_lake(root, run_id=run_id, samples=SAMPLES, seed=1 if run_id == OTHER else 0)
        if run_id == OTHER:
            again = tiny_tables(run_id=OLD, samples=SAMPLES)["properties"].with_columns(contrast=pl.lit(1.0))
            lake.stage("properties", again)
    _age(lake, DAYS)
    return root


@pytest.fixture(scope="module")
def before(built_four: Path) -> dict[str, dict[str, str]]:
    """By run what its tables hold."""
    return {run_id: contents(Lake(built_four).run(run_id)) for run_id in DAYS}


@pytest.fixture
def four(built_four: Path, tmp_path: Path) -> Lake:
    return Lake(shutil.copytree(built_four, tmp_path / "lake"))


@pytest.mark.parametrize(
    ("runs", "days", "removed"),
    [
        (1, 0, [MIDDLE, OLD]),
        (1, 30, [OLD]),
        (1, 45, []),
        (3, 0, []),
        (2, 0, [OLD]),
        (30, 30, []),
    ],
)
def test_a_run_goes_only_when_it_is_old_by_count_and_by_age_and_not_the_last_of_its_dataset(
    built_four: Path, runs: int, days: float, removed: list[str]
) -> None:
    assert gc._expired(Lake(built_four).runs(), Retention(runs, days, hours=24)) == removed


def test_what_is_old_goes_and_a_dry_run_only_says_so(four: Lake) -> None:
    before = _versions(four), sorted(Path(four.root).rglob("*"))
    foreseen = _collect(four, Retention(runs=1, days=30, hours=24), dry_run=True)
    assert (_versions(four), sorted(Path(four.root).rglob("*"))) == before
    removed = _collect(four, Retention(runs=1, days=30, hours=24))
    assert (foreseen.runs, foreseen.orphans) == (removed.runs, removed.orphans) == ([OLD], [])
    assert foreseen.waiting_mib == pytest.approx(removed.waiting_mib, abs=0.05)
    assert run_ids(four) == [NEW, MIDDLE, OTHER]


@pytest.mark.long
def test_runs_that_stay_are_verified_and_read_as_before(four: Lake, before: dict[str, dict[str, str]]) -> None:
    four.stage("properties", tiny_tables(samples=SAMPLES)["properties"].with_columns(contrast=pl.lit(0.5)))
    opened = {run_id: four.run(run_id) for run_id in (OTHER, MIDDLE, NEW)}
    assert before[MIDDLE]["properties"] != before[OTHER]["properties"]
    removed = _collect(four, Retention(runs=1, days=30, hours=0))
    assert removed.runs == [OLD] and removed.files > len(RUN_TABLES) and removed.mib > 0
    for run_id, run in opened.items():
        fresh = Lake(four.root).run(run_id)
        assert contents(fresh) == contents(run) == contents(Run(Lake(four.root), run.facts)) == before[run_id]
        assert fresh.verify() == run.verify()


def test_what_many_runs_measured_is_read_as_before_by_whoever_knows_the_new_pins_or_the_old(four: Lake) -> None:
    listed = four.runs().filter(pl.col("run_id") != OLD)
    measured = four.scan_runs("metrics", listed).sort("run_id", "stage", "name").collect()
    assert set(measured["run_id"]) == {OTHER, MIDDLE, NEW}
    assert _collect(four, Retention(runs=1, days=30, hours=0)).runs == [OLD]
    for runs in (listed, Lake(four.root).runs()):
        found = Lake(four.root).scan_runs("metrics", runs).sort("run_id", "stage", "name").collect()
        assert found.equals(measured)


def test_no_file_of_a_removed_run_is_left_and_every_version_that_is_pinned_is_whole(four: Lake) -> None:
    removed = _collect(four, ONLY_NEWEST)
    assert removed.runs == [MIDDLE, OLD] and removed.waiting_mib == 0
    for name in RUN_TABLES:
        left = {file.parent.name.partition("=")[2] for file in folder_of(four, name).rglob("run_id=*/*.parquet")}
        assert left <= {NEW, OTHER}, name
    for run in four.runs().iter_rows(named=True):
        for table in run["tables"]:
            if table["name"] in RUN_TABLES:
                pl.scan_delta(four.open(table["name"], table["version"])).collect()
    before = _versions(four)
    assert _collect(four, ONLY_NEWEST) == Removed(), "there is nothing left"
    assert _versions(four) == before


@pytest.mark.long
def test_a_reader_that_has_a_removed_run_open_goes_on_reading_until_the_hours_are_over(
    four: Lake, before: dict[str, dict[str, str]]
) -> None:
    opened = four.run(OLD)
    removed = _collect(four, Retention(runs=1, days=0, hours=24))
    assert (removed.files, removed.mib) == (0, 0) and removed.waiting_mib > 0
    assert contents(Run(Lake(four.root), opened.facts)) == before[OLD]
    sizes = {file: file.stat().st_size for file in Path(four.root).rglob("*.parquet")}
    later = _collect(four, ONLY_NEWEST)
    gone = [size for file, size in sizes.items() if not file.exists()]
    assert (later.runs, later.files) == ([], len(gone))
    assert later.mib == removed.waiting_mib == round(sum(gone) / 2**20, 2)
    with pytest.raises(LakeError):
        opened.verify()


@pytest.mark.long
@pytest.mark.parametrize(
    ("where", "call"),
    [
        ("DeltaTable.delete", 1),
        ("DeltaTable.delete", 5),
        ("lake.storage.gc._pin", 1),
        ("lake.storage.gc._delete_files", 1),
        ("DeltaTable.vacuum", 12),
    ],
)
def test_killed_at_any_moment_the_lake_is_readable_and_the_next_call_finishes(
    four: Lake, before: dict[str, dict[str, str]], tmp_path: Path, where: str, call: int
) -> None:
    whole = Lake(shutil.copytree(four.root, tmp_path / "whole"))
    _collect(whole, ONLY_NEWEST)
    _kill_at(four, where, call)
    _assert_readable(four, [NEW, OTHER], before)
    _collect(four, ONLY_NEWEST)
    _assert_readable(four, [NEW, OTHER], before)
    assert _files(four) == _files(whole)


@pytest.mark.long
def test_what_a_crashed_refresh_left_goes(
    four: Lake, tables: dict[str, pl.DataFrame], before: dict[str, dict[str, str]]
) -> None:
    stage_all(four, {**tables, **_other_dataset(tables)})
    removed = _collect(four, Retention(runs=30, days=30, hours=0))
    assert (removed.runs, removed.orphans) == ([], [SECOND, "tiny-unpublished"])
    assert not four.has("predictions", SECOND) and not four.has("images", "tiny-unpublished")
    assert not [*Path(four.root).glob(f"*/run_id={SECOND}/*.parquet")]
    _assert_readable(four, [NEW, MIDDLE, OLD, OTHER], before)
    stage_all(four, tables)
    four.publish(facts_of(SECOND))
    assert four.run().verify()


def test_the_rows_of_a_refused_run_stay_for_as_many_days_as_a_run_does(staged_lake: Lake) -> None:
    measured = {"before_run_id": FIRST, "test_accuracy": 0.5, "accuracy_before": 0.6}
    staged_lake.reject(facts_of(SECOND), "accuracy fell", measured)
    assert _collect(staged_lake, Retention(runs=30, days=30, hours=0), dry_run=True).orphans == []
    assert gc._recently_rejected(staged_lake, Retention(runs=30, days=0, hours=0)) == []


def test_a_run_is_not_read_at_a_version_with_columns_that_a_later_one_brought(four: Lake) -> None:
    kept, doomed = four.runs().filter(run_id=MIDDLE), {"training": [OLD]}
    pinned, newest = (
        next(table["version"] for table in four.run(run_id).facts["tables"] if table["name"] == "training")
        for run_id in (MIDDLE, NEW)
    )
    assert gc._renewed_pins(four, kept, doomed)[MIDDLE]["training"] == newest > pinned
    four.open("training").alter.add_columns(Field("later", PrimitiveType("double")))
    assert gc._renewed_pins(four, kept, doomed)[MIDDLE]["training"] == pinned


def test_a_file_that_a_crash_left_out_of_the_log_goes_when_the_hours_are_over(four: Lake) -> None:
    stray = folder_of(four, "predictions") / f"run_id={SECOND}" / "part-0.parquet"
    stray.parent.mkdir()
    stray.write_bytes(b"half a file")
    _collect(four, Retention(runs=30, days=30, hours=24))
    assert stray.exists()
    assert _collect(four, Retention(runs=30, days=30, hours=0)).files >= 1
    assert not stray.exists()


@pytest.mark.long
def test_where_a_refresh_may_be_running_its_rows_stay_for_a_day(
    four: Lake, tables: dict[str, pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage_all(four, tables)
    assert collect_garbage(four, ONLY_NEWEST, alone=False) == Removed(runs=[MIDDLE, OLD], files=ANY, mib=ANY)
    four.publish(facts_of(SECOND))
    assert four.run().verify()
    four.stage("training", tables["training"].with_columns(run_id=pl.lit("20260101-000009-dddddd")))
    monkeypatch.setattr(gc, "UNFINISHED_HOURS", 0)
    assert collect_garbage(four, ONLY_NEWEST, alone=False).orphans == ["20260101-000009-dddddd"]


def test_a_lake_without_a_run_is_left_alone(four: Lake) -> None:
    """Its `runs` may only be missing: a copy that is not complete, or another root."""
    shutil.rmtree(folder_of(four, "runs"))
    before = _versions(four)
    assert _collect(four, ONLY_NEWEST) == Removed()
    assert _versions(four) == before


def test_a_run_published_while_another_is_removed_is_not_lost(four: Lake) -> None:
    def publish_meanwhile(runs: pl.DataFrame) -> pl.DataFrame:
        build_tiny_lake(four.root, run_id=SECOND, samples=SAMPLES)
        return runs.filter(pl.col("run_id") != OLD)

    gc._change_runs(four, publish_meanwhile)
    assert run_ids(four) == [SECOND, NEW, MIDDLE, OTHER]


@pytest.mark.long
def test_versions_that_runs_pin_stay_in_tables_from_before_they_kept_their_log(four: Lake) -> None:
    """Deleting files commits too, and any commit can be the one that has a checkpoint made and the log cleaned."""
    pinned = next(table["version"] for table in four.run(OTHER).facts["tables"] if table["name"] == "samples")
    by_default = {"delta.logRetentionDuration": "interval 0 days", "delta.checkpointInterval": "1"}
    no_cleanup = PostCommitHookProperties(cleanup_expired_logs=False, create_checkpoint=False)
    four.open("samples").alter.set_table_properties(by_default, post_commithook_properties=no_cleanup)
    assert _collect(four, ONLY_NEWEST).runs == [MIDDLE, OLD]
    assert four.open("samples", pinned).version() == pinned
    assert Lake(four.root).run(OTHER).verify()


def test_reviews_and_views_are_never_touched(four: Lake) -> None:
    dataset_id = four.run().dataset_id
    for sample_id in range(3):
        add_reviews(four, [Review(dataset_id, sample_id, "fine", "Ada", run_id=OLD)])
        save_view(four.run(OLD), View(f"view {sample_id}", "Ada"))
    scans = (scan_reviews, scan_views)
    before = [scan(four, dataset_id).collect() for scan in scans]
    versions = [four.open(name).version() for name in USER_TABLES]
    assert [len(rows) for rows in before] == [3, 3]
    assert _collect(four, ONLY_NEWEST).runs == [MIDDLE, OLD]
    assert all(scan(four, dataset_id).collect().equals(rows) for scan, rows in zip(scans, before, strict=True))
    assert [four.open(name).version() for name in USER_TABLES] == versions


@pytest.mark.long
def test_runs_from_before_checksums_are_read_verified_and_collected(four: Lake) -> None:
    older = four.runs().drop("digests")
    write_raw(folder_of(four, "runs"), older, mode="overwrite", schema_mode="overwrite")
    assert four.runs()["digests"].null_count() == len(DAYS)
    checks = four.run(OTHER).verify()
    assert _collect(four, ONLY_NEWEST).runs == [MIDDLE, OLD]
    build_tiny_lake(four.root, run_id=SECOND, samples=SAMPLES)
    assert four.runs()["digests"].null_count() == 2
    assert (four.run(OTHER).verify(), four.run(SECOND).verify()) == (checks, checks + len(TABLES) - len(UNPINNED))


@pytest.mark.long
def test_a_lake_that_is_named_by_a_url_is_collected(four: Lake) -> None:
    lake = Lake(f"file://{four.root}")
    assert collect_garbage(lake, ONLY_NEWEST, alone=False).runs == [MIDDLE, OLD]
    assert lake.run().verify() and Lake(four.root).run(OTHER).verify()


def test_the_command_says_what_went(four: Lake) -> None:
    command = ["gc", "--lake", four.root, "--keep", "1", "--older-than", "30"]
    dry = latentlake(*command, "--dry-run")
    assert dry.stdout.startswith("Would remove runs: 1, orphans: 0, files: "), dry.stderr
    found = latentlake(*command, "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["runs"] == [OLD]
    assert run_ids(four) == [NEW, MIDDLE, OTHER]


def test_while_a_refresh_runs_the_command_says_to_try_again(four: Lake, tables: dict[str, pl.DataFrame]) -> None:
    stage_all(four, tables)
    before = _versions(four)
    with FileLock(Path(four.root) / "refresh.lock"):
        found = latentlake("gc", "--lake", four.root, "--keep", "1", "--older-than", "0")
    assert found.returncode == 75 and "is running: try again" in found.stderr
    assert _versions(four) == before
    four.publish(facts_of(SECOND))


def test_a_lake_that_is_not_there_is_named_and_not_made(empty_lake: str) -> None:
    found = latentlake("gc", "--lake", empty_lake)
    assert found.returncode == 1 and "has no published run yet: run `latentlake refresh --lake" in found.stderr
    assert not Path(empty_lake).exists()


def _collect(lake: Lake, retention: Retention, *, dry_run: bool = False) -> Removed:
    return collect_garbage(lake, retention, alone=True, dry_run=dry_run)


def _age(lake: Lake, days: dict[str, int]) -> None:
    """Publish times moved into the past."""
    ago = pl.col("run_id").replace_strict(days, return_dtype=pl.Int64)
    aged = lake.runs().with_columns(pl.col("published_at") - pl.duration(days=ago))
    write_raw(folder_of(lake, "runs"), aged, mode="overwrite")


def _versions(lake: Lake) -> dict[str, int]:
    names = (name for name in TABLES if DeltaTable.is_deltatable(lake.uri(name)))
    return {name: lake.open(name).version() for name in names}


def _files(lake: Lake) -> set[str]:
    """The data files of the lake but those of `runs`, which a second call writes anew."""
    every = {file.relative_to(lake.root).as_posix() for file in Path(lake.root).rglob("*.parquet")}
    return {file for file in every if "_delta_log" not in file and not file.startswith("runs/")}


def _assert_readable(lake: Lake, left: list[str], before: dict[str, dict[str, str]]) -> None:
    """These runs are there, newest first, each as it was."""
    assert run_ids(lake) == left
    for run_id in left:
        run = Lake(lake.root).run(run_id)
        assert run.verify()
        assert contents(run) == before[run_id]


def _other_dataset(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    return {name: tables[name].with_columns(dataset_id=pl.lit("tiny-unpublished")) for name in DATASET_TABLES}


def _kill_at(lake: Lake, where: str, call: int) -> None:
    """Collect elsewhere and kill it at the so-manieth call of a function."""
    holder, _, name = where.rpartition(".")
    program = f"""
import itertools, os, signal
import lake.storage.gc
from deltalake import DeltaTable
from lake.storage.store import Lake
original, calls = {where}, itertools.count(1)
def die(*arguments, **options):
    if next(calls) == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)
setattr({holder}, {name!r}, die)
lake.storage.gc.collect_garbage(Lake({lake.root!r}), lake.storage.gc.Retention(runs=1, days=0, hours=0), alone=True)
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr.decode()
