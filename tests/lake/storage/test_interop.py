"""The lake is plain Delta: other engines read the same rows of a run with no code of ours."""

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lake.contracts.tables import DATASET_TABLES, RUN_TABLES, key_column
from lake.storage.store import Lake, Run
from tests.support.lakes.tiny_lake import EMPTY

NAMES = (*DATASET_TABLES, *RUN_TABLES)


@pytest.fixture(scope="module")
def run(tiny_lake: str) -> Run:
    return Lake(tiny_lake).run()


@pytest.mark.parametrize("name", NAMES)
def test_polars_counts_the_rows_the_run_promises(run: Run, name: str) -> None:
    pinned = pl.scan_delta(_uri(run, name), version=_fact(run, name, "version"))
    mine = pinned.filter(pl.col(key_column(name)) == _key(run, name))
    assert mine.select(pl.len()).collect().item() == _fact(run, name, "rows")


@pytest.mark.parametrize("name", NAMES)
def test_pyarrow_counts_the_rows_the_run_promises(run: Run, name: str) -> None:
    mine = _dataset(run, name).filter(ds.field(key_column(name)) == _key(run, name))
    assert mine.count_rows() == _fact(run, name, "rows")
    assert sum(pq.read_metadata(file).num_rows for file in _table(run, name).file_uris()) == mine.count_rows()


@pytest.mark.parametrize("name", sorted(set(NAMES) - EMPTY))
def test_duckdb_counts_the_rows_the_run_promises(run: Run, name: str) -> None:
    query = "select count(*) from read_parquet(?, hive_partitioning = true) where {} = ?"
    files, key = _table(run, name).file_uris(), _key(run, name)
    with duckdb.connect() as connection:
        (count,) = connection.execute(query.format(key_column(name)), [files, key]).fetchone() or (None,)
    assert count == _fact(run, name, "rows")


def test_every_engine_computes_the_same_accuracy_by_class(run: Run) -> None:
    by_label = "select label, avg(correct::int) from predictions join samples using (sample_id)"
    with duckdb.connect() as connection:
        for name in ("predictions", "samples"):
            connection.register(name, _dataset(run, name))
        held_out = f"{by_label} where out_of_sample and label is not null group by label order by label"
        from_duckdb = connection.execute(held_out).fetchall()
    joined = run.scan("predictions").join(run.scan("samples"), on="sample_id").collect()
    held_out_rows = joined.filter(pl.col("out_of_sample") & pl.col("label").is_not_null())
    from_polars = held_out_rows.group_by("label").agg(pl.col("correct").mean()).sort("label").rows()
    assert from_duckdb == [(label, pytest.approx(accuracy)) for label, accuracy in from_polars]


def test_a_parquet_file_alone_shows_the_images(run: Run) -> None:
    file = _table(run, "images").file_uris()[0]
    first = pq.read_table(file, columns=["png"]).column("png")[0].as_py()
    assert first.startswith(b"\x89PNG")


def _uri(run: Run, name: str) -> str:
    return run.lake.uri(name)


def _table(run: Run, name: str) -> DeltaTable:
    return DeltaTable(_uri(run, name), version=_fact(run, name, "version"))


def _dataset(run: Run, name: str) -> ds.Dataset:
    return _table(run, name).to_pyarrow_dataset()


def _key(run: Run, name: str) -> str:
    return run.dataset_id if name in DATASET_TABLES else run.run_id


def _fact(run: Run, name: str, what: str) -> int:
    return next(table[what] for table in run.facts["tables"] if table["name"] == name)
