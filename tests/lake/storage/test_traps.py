"""The known traps of polars with Delta: each still there, and what the store does about it.

A test of a trap that fails after an upgrade is good news: the trap is gone, and so may be our way around it.
"""

import datetime as dt
import os
import time
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from lake.contracts.tables import TABLES, USER_TABLES
from lake.storage.door import open_table, plain_path, vacuum_table
from lake.storage.store import KEEP_LOG, Lake
from tests.support.lakes.raw_tables import files_of, folder_of, write_raw
from tests.support.lakes.tiny_lake import EMPTY, build_tiny_lake, run_facts, stage_all, tiny_tables

FIRST, SECOND = "20260101-000000-aaaaaa", "20260102-000000-bbbbbb"
SAMPLES = 40


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose path deltalake and polars can read, wherever the tests have theirs."""
    return Path(plain_path(str(tmp_path)))


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return tiny_tables(run_id=FIRST, samples=SAMPLES)


def test_trap_an_array_written_to_delta_cannot_be_scanned_back(folder: Path) -> None:
    frame = pl.DataFrame({"embedding": pl.Series([[1.0, 2.0]], dtype=pl.Array(pl.Float32, 2))})
    write_deltalake(folder / "table", frame)
    with pytest.raises(pl.exceptions.SchemaError, match="data type mismatch"):
        pl.scan_delta(folder / "table").collect()


def test_arrays_are_staged_as_lists(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    as_array = tables["embeddings"].cast({"embedding": pl.Array(pl.Float32, 8)})
    lake.stage("embeddings", as_array)
    read = lake.staged("embeddings", FIRST).collect().sort("sample_id")
    assert read.schema["embedding"] == pl.List(pl.Float32)
    assert read["embedding"].to_list() == tables["embeddings"]["embedding"].to_list()


def test_no_contract_asks_for_an_array() -> None:
    dtypes = [column.dtype for schema in TABLES.values() for column in schema.columns().values()]
    assert not [dtype for dtype in dtypes if isinstance(dtype, pl.Array)]


def test_trap_categories_cannot_be_written(folder: Path) -> None:
    frame = pl.DataFrame({"label": pl.Series(["cat", "dog"], dtype=pl.Categorical)})
    with pytest.raises(DeltaError, match="panicked"):
        write_deltalake(folder / "table", frame)


@pytest.mark.parametrize("dtype", [pl.Categorical(), pl.Enum(["cat", "dog", "ship", "truck"])])
def test_categories_are_staged_as_text(lake: Lake, tables: dict[str, pl.DataFrame], dtype: pl.DataType) -> None:
    lake.stage("predictions", tables["predictions"].cast({"predicted": dtype}))
    read = lake.staged("predictions", FIRST).collect().sort("sample_id")
    assert read.schema["predicted"] == pl.String
    assert read["predicted"].to_list() == tables["predictions"]["predicted"].to_list()


def test_trap_half_floats_are_refused(folder: Path) -> None:
    frame = pl.DataFrame({"embedding": pl.Series([[1.0, 2.0]], dtype=pl.List(pl.Float16))})
    with pytest.raises(Exception, match="Invalid data type for Delta Lake: Float16"):
        write_deltalake(folder / "table", frame)


def test_half_floats_are_staged_as_float32(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    half = tables["embeddings"].cast({"embedding": pl.List(pl.Float16)})
    lake.stage("embeddings", half)
    read = lake.staged("embeddings", FIRST).collect().sort("sample_id")
    assert read.schema["embedding"] == pl.List(pl.Float32)
    assert read["embedding"].to_list() == half.cast({"embedding": pl.List(pl.Float32)})["embedding"].to_list()


def test_trap_unsigned_integers_come_back_signed(folder: Path) -> None:
    write_deltalake(folder / "table", pl.DataFrame({"n": pl.Series([1, 2], dtype=pl.UInt32)}))
    assert pl.scan_delta(folder / "table").collect().schema["n"] == pl.Int32


def test_unsigned_integers_are_staged_as_the_contract_says(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    lake.stage("training", tables["training"].cast({"step": pl.UInt32, "resolution": pl.UInt8}))
    read = lake.staged("training", FIRST).collect().sort("step")
    assert read.schema["step"] == pl.Int64 and read.schema["resolution"] == pl.Int64
    assert read["step"].to_list() == tables["training"]["step"].to_list()


def test_trap_naive_times_raise_the_reader_version(folder: Path) -> None:
    noon = dt.datetime(2026, 1, 1, 12)
    write_deltalake(folder / "naive", pl.DataFrame({"at": [noon]}))
    write_deltalake(folder / "utc", pl.DataFrame({"at": [noon.replace(tzinfo=dt.UTC)]}))
    assert DeltaTable(folder / "naive").protocol().min_reader_version == 3
    assert DeltaTable(folder / "utc").protocol().min_reader_version == 1


def test_times_are_published_in_utc_and_every_table_stays_readable_by_old_readers(tiny_lake: str) -> None:
    runs = Lake(tiny_lake).runs()
    assert runs.schema["started_at"] == runs.schema["published_at"] == pl.Datetime("us", "UTC")
    assert runs["started_at"][0] == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    for name in TABLES.keys() - {*USER_TABLES, "rejected", "attempts"}:  # nobody has said anything, nothing was refused
        assert DeltaTable(Lake(tiny_lake).uri(name)).protocol().min_reader_version == 1, name


def test_trap_a_vacuum_that_does_not_keep_the_published_versions_breaks_a_run(lake: Lake) -> None:
    build_tiny_lake(lake.root, run_id=FIRST, samples=SAMPLES)
    lake.stage("training", tiny_tables(run_id=FIRST, samples=SAMPLES)["training"])
    _vacuum(lake, "training", keep=None)
    with pytest.raises(OSError, match="No such file"):
        lake.run(FIRST).scan("training").collect()


def test_a_vacuum_that_keeps_the_published_versions_leaves_every_run_readable(
    lake: Lake, tables: dict[str, pl.DataFrame]
) -> None:
    build_tiny_lake(lake.root, run_id=FIRST, samples=SAMPLES)
    second = tiny_tables(run_id=SECOND, samples=SAMPLES)
    for _ in range(2):
        stage_all(lake, second)
    lake.publish(run_facts(run_id=SECOND, dataset_id=f"tiny-{SAMPLES}-0", samples=SAMPLES))
    files = sum(_files(lake, name) for name in tables)
    for name in tables:
        _vacuum(lake, name, keep=sorted({_version(lake, run_id, name) for run_id in (FIRST, SECOND)}))
    for run_id in (FIRST, SECOND):
        run = Lake(lake.root).run(run_id)
        assert {name: run.scan(name).collect().height for name in tables} == {
            name: frame.height for name, frame in tables.items()
        }
    assert sum(_files(lake, name) for name in tables) == files - len(tables.keys() - EMPTY), (
        "what the first try left is gone"
    )


def test_trap_log_entries_older_than_thirty_days_are_deleted_and_with_them_the_versions_that_runs_pin(
    lake: Lake, tables: dict[str, pl.DataFrame]
) -> None:
    _write_an_old_log(lake, tables["training"])
    for _ in range(12):
        write_raw(folder_of(lake, "training"), tables["training"], mode="append")
    with pytest.raises(TableNotFoundError, match="No files in log segment"):
        lake.open("training", 0)


def test_versions_outlive_it_in_a_table_from_before_too(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    _write_an_old_log(lake, tables["training"])
    for i in range(12):
        lake.stage("training", tables["training"].with_columns(run_id=pl.lit(f"run-{i}")))
    lake.open("training").cleanup_metadata()
    assert pl.scan_delta(lake.open("training", 0)).collect().height == tables["training"].height


def test_every_table_that_runs_pin_keeps_its_log(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    stage_all(lake, tables)
    for name in tables:
        assert KEEP_LOG.items() <= lake.open(name).metadata().configuration.items(), name


def _write_an_old_log(lake: Lake, frame: pl.DataFrame) -> None:
    """As latentlake wrote a table 40 days ago, with a checkpoint every ten commits instead of every hundred."""
    for _ in range(12):
        every_ten = {"delta.checkpointInterval": "10"}
        write_raw(folder_of(lake, "training"), frame, mode="append", partition_by=["run_id"], configuration=every_ten)
    moment = time.time() - 40 * 86_400
    for file in files_of(lake, "training", "_delta_log/*"):
        os.utime(file, (moment, moment))


def _vacuum(lake: Lake, name: str, *, keep: list[int] | None) -> None:
    table = str(folder_of(lake, name))
    vacuum_table(
        table,
        open_table(table),
        retention_hours=0,
        dry_run=False,
        enforce_retention_duration=False,
        full=True,
        keep_versions=keep,
    )


def _version(lake: Lake, run_id: str, name: str) -> int:
    return next(table["version"] for table in lake.run(run_id).facts["tables"] if table["name"] == name)


def _files(lake: Lake, name: str) -> int:
    return len(list(folder_of(lake, name).rglob("*.parquet")))
