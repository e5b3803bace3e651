"""The publish protocol: what readers see before, during and after a publish."""

import datetime as dt
import os
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lake.contracts.tables import DATASET_TABLES, FORMAT_VERSION, RUN_TABLES, TABLES
from lake.errors import LakeError
from lake.storage.store import Lake, Run
from tests.support.lakes.raw_tables import folder_of, write_raw
from tests.support.lakes.tiny_lake import EMPTY, build_tiny_lake, stage_all, tiny_tables
from tests.support.lakes.two_runs import FIRST, SAMPLES, SECOND, contents, facts_of, run_ids

WIDE = {"original_width": 90, "original_height": 60}


def test_a_reader_sees_every_table_of_a_published_run(lake: Lake) -> None:
    run = lake.run()
    counts = {name: run.scan(name).select(pl.len()).collect().item() for name in (*DATASET_TABLES, *RUN_TABLES)}
    assert counts == {table["name"]: table["rows"] for table in run.facts["tables"]}
    assert {name for name, rows in counts.items() if not rows} == EMPTY
    assert run.facts["format_version"] == FORMAT_VERSION
    assert run.facts["published_at"].tzinfo is not None


def test_a_model_is_stored_once(empty_lake: str) -> None:
    """Statistics of a column of bytes would store its only value as minimum and maximum too."""
    weights, lake = os.urandom(300_000), Lake(empty_lake)
    row = {"run_id": FIRST, "fold": 0, "resolution": 32, "temperature": 1.0, "weights": weights}
    lake.stage("models", pl.DataFrame([row]))
    (file,) = folder_of(lake, "models").rglob("*.parquet")
    assert len(weights) <= file.stat().st_size < 1.1 * len(weights)
    assert lake.staged("models", FIRST).collect()["weights"].item() == weights


def test_what_was_staged_is_read_back_unchanged(lake: Lake) -> None:
    run = lake.run()
    for name, frame in tiny_tables(run_id=FIRST, samples=SAMPLES).items():
        contract = TABLES[name]
        expected = contract.validate(frame, cast=True).sort(contract.primary_key())
        read = run.scan(name).collect().select(expected.columns).sort(contract.primary_key())
        assert read.equals(expected), name


def test_a_reader_never_sees_an_unpublished_run(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    open_run, before = lake.run(), contents(lake.run())
    for name, frame in tables.items():
        stage_all(lake, {known: tables[known] for known in ("samples", "predictions")} | {name: frame})
        assert run_ids(lake) == [FIRST]
    assert contents(open_run) == before
    assert contents(Lake(lake.root).run()) == before


def test_staging_twice_keeps_one_copy(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    for _ in range(2):
        stage_all(lake, tables)
    for name, frame in tables.items():
        key = tables["samples"]["dataset_id"][0] if name in DATASET_TABLES else SECOND
        assert lake.staged(name, key).collect().height == frame.height, name


def test_staging_replaces_what_an_earlier_try_left(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    lake.stage("training", tables["training"])
    lake.stage("training", tables["training"].head(2))
    assert lake.staged("training", SECOND).collect().height == 2
    assert lake.staged("training", FIRST).collect().height == tables["training"].height


def test_a_stage_can_be_asked_for_before_it_is_published(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    assert not lake.has("training", SECOND)
    lake.stage("training", tables["training"])
    assert lake.has("training", SECOND)
    assert not Lake(lake.root + "-none").has("training", SECOND)


def test_publishing_twice_keeps_one_row(staged_lake: Lake) -> None:
    for _ in range(2):
        staged_lake.publish(facts_of(SECOND))
    assert run_ids(staged_lake) == [SECOND, FIRST]


def test_publishing_a_run_again_does_not_move_it(lake: Lake) -> None:
    before = lake.run(FIRST).facts
    lake.stage("training", tiny_tables(run_id=FIRST, samples=SAMPLES)["training"])
    lake.publish(facts_of(FIRST))
    assert lake.run(FIRST).facts == before


def test_a_run_is_read_at_its_pinned_version_after_later_runs_and_restaging(
    staged_lake: Lake, tables: dict[str, pl.DataFrame]
) -> None:
    lake = staged_lake
    opened_before, before = lake.run(FIRST), contents(lake.run(FIRST))
    lake.publish(facts_of(SECOND))
    other = tiny_tables(run_id=FIRST, samples=SAMPLES, seed=7)
    restaged = {name: frame for name, frame in other.items() if name not in DATASET_TABLES}
    stage_all(lake, restaged)
    lake.stage("properties", tables["properties"].with_columns(contrast=pl.lit(1.0)))
    assert contents(opened_before) == before
    assert contents(Lake(lake.root).run(FIRST)) == before
    assert lake.run().run_id == SECOND


def test_the_newest_publish_is_the_latest_run(lake: Lake) -> None:
    build_tiny_lake(lake.root, run_id="20250101-000000-older", samples=SAMPLES)
    assert run_ids(lake) == ["20250101-000000-older", FIRST]


def test_the_last_publish_is_the_latest_run_even_when_the_clock_went_back(
    staged_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = staged_lake.run(FIRST).facts["published_at"]

    class Yesterday(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Self:
            return super().now(tz) - dt.timedelta(days=1)

    monkeypatch.setattr(dt, "datetime", Yesterday)
    staged_lake.publish(facts_of(SECOND))
    monkeypatch.undo()
    assert run_ids(staged_lake) == [SECOND, FIRST]
    assert staged_lake.run().facts["published_at"] - first == dt.timedelta(microseconds=1)


def test_a_run_without_findings_is_published(staged_lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    lake = staged_lake
    lake.stage("findings", tables["findings"].clear(), key=SECOND)
    lake.publish(facts_of(SECOND))
    assert lake.run(SECOND).scan("findings").collect().is_empty()
    assert lake.run(FIRST).scan("findings").collect().height == 2


def test_the_first_run_of_a_lake_may_have_no_findings(tmp_path: Path) -> None:
    lake, tables = Lake(tmp_path / "new"), tiny_tables(samples=SAMPLES)
    stage_all(lake, {name: frame for name, frame in tables.items() if name != "findings"})
    lake.stage("findings", tables["findings"].clear(), key=FIRST)
    lake.publish(facts_of(FIRST))
    assert lake.run().scan("findings").collect().is_empty()


@pytest.mark.parametrize(
    ("table", "broken"),
    [
        ("predictions", pl.col("loss") - 1000),
        ("predictions", pl.lit(1.5).alias("confidence")),
        ("clusters", pl.lit("ward").alias("method")),
        ("samples", pl.lit("holdout").alias("split")),
        ("projection", pl.lit(float("nan")).alias("x")),
        ("findings", pl.lit(1).alias("finding_id")),
    ],
)
def test_a_broken_contract_stages_nothing(
    lake: Lake, tables: dict[str, pl.DataFrame], table: str, broken: pl.Expr
) -> None:
    before = DeltaTable(lake.uri(table)).version()
    with pytest.raises(LakeError, match=f"The table {table} breaks its contract and was not written"):
        lake.stage(table, tables[table].with_columns(broken))
    assert DeltaTable(lake.uri(table)).version() == before


def test_a_missing_column_is_named(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    with pytest.raises(LakeError, match=r"predictions breaks its contract.*'loss'"):
        lake.stage("predictions", tables["predictions"].drop("loss"))


@pytest.mark.parametrize("key", ["../other", "UPPER", "a b", "x' OR '1'='1", "", None])
def test_a_run_id_that_is_not_plain_is_refused(lake: Lake, tables: dict[str, pl.DataFrame], key: str | None) -> None:
    with pytest.raises(LakeError, match="expected rows with one run_id of lower-case letters, digits and dashes"):
        lake.stage("training", tables["training"].with_columns(run_id=pl.lit(key, dtype=pl.String)))


def test_rows_of_two_runs_are_refused(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    with pytest.raises(LakeError, match="expected rows with one run_id"):
        lake.stage("training", tables["training"], key=FIRST)


def test_a_contract_broken_behind_our_back_publishes_nothing(
    staged_lake: Lake, tables: dict[str, pl.DataFrame]
) -> None:
    negative = tables["predictions"].with_columns(loss=pl.lit(-1.0))
    write_raw(folder_of(staged_lake, "predictions"), negative, mode="overwrite", predicate=f"run_id = '{SECOND}'")
    _assert_refused(staged_lake, "the table predictions breaks its contract")


def test_a_prediction_of_an_unknown_sample_publishes_nothing(
    staged_lake: Lake, tables: dict[str, pl.DataFrame]
) -> None:
    staged_lake.stage("samples", tables["samples"].filter(pl.col("sample_id") != 7))
    _assert_refused(staged_lake, "1 scored sample is missing from samples")


@pytest.mark.parametrize("table", ["images", "properties"])
def test_a_scored_sample_without_its_image_or_properties_publishes_nothing(
    staged_lake: Lake, tables: dict[str, pl.DataFrame], table: str
) -> None:
    staged_lake.stage(table, tables[table].head(SAMPLES - 3))
    _assert_refused(staged_lake, f"3 scored samples are missing from {table}")


@pytest.mark.parametrize("table", ["predictions", "embeddings", "projection", "clusters", "neighbors"])
def test_a_sample_one_stage_left_out_publishes_nothing(
    staged_lake: Lake, tables: dict[str, pl.DataFrame], table: str
) -> None:
    staged_lake.stage(table, tables[table].filter(pl.col("sample_id") != 7))
    _assert_refused(staged_lake, "the stages have measured different sets of samples")


def test_a_run_with_a_model_has_an_embedding_of_every_sample(
    staged_lake: Lake, tables: dict[str, pl.DataFrame]
) -> None:
    """Only external predictions may lack some."""
    for table in ("embeddings", "projection", "clusters", "neighbors"):
        staged_lake.stage(table, tables[table].filter(pl.col("sample_id") != 7))
    _assert_refused(staged_lake, "the stages have measured different sets of samples")


def test_a_sample_left_out_by_one_clustering_publishes_nothing(
    staged_lake: Lake, tables: dict[str, pl.DataFrame]
) -> None:
    left_out = (pl.col("sample_id") == 7) & (pl.col("method") == "hdbscan")
    staged_lake.stage("clusters", tables["clusters"].filter(~left_out))
    _assert_refused(staged_lake, "the stages have measured different sets of samples")


def test_a_neighbor_that_is_not_a_sample_publishes_nothing(staged_lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    strange = tables["neighbors"].with_columns(neighbor_id=pl.lit(10**6))
    staged_lake.stage("neighbors", strange)
    _assert_refused(staged_lake, "rows of neighbors have a neighbor_id that belongs to no sample")


def test_dynamics_of_an_unknown_sample_publish_nothing(staged_lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    staged_lake.stage("dynamics", tables["dynamics"].with_columns(pl.col("sample_id") + 10_000))
    _assert_refused(staged_lake, "rows of dynamics have a sample_id that belongs to no sample")


def test_a_table_never_staged_publishes_nothing(tmp_path: Path, tables: dict[str, pl.DataFrame]) -> None:
    lake = Lake(tmp_path / "new")
    stage_all(lake, {name: frame for name, frame in tables.items() if name != "metrics"})
    with pytest.raises(LakeError, match="The table metrics has not been staged"):
        lake.publish(facts_of(SECOND))
    assert lake.runs().is_empty()


def test_a_run_older_than_a_column_or_a_table_is_read_and_written_beside(tmp_path: Path) -> None:
    """As a lake of the previous version looks: no `temperature`, no `dynamics`; the new run has both."""
    root = tmp_path / "lake"
    build_tiny_lake(root, run_id=FIRST, samples=SAMPLES)
    older = tiny_tables(run_id=FIRST, samples=SAMPLES)["predictions"].drop("temperature")
    write_raw(root / "predictions", older, mode="overwrite", schema_mode="overwrite", partition_by=["run_id"])
    lake = Lake(root)
    facts = lake.run(FIRST).facts
    version = lake.open("predictions").version()
    pinned = [t | ({"version": version} if t["name"] == "predictions" else {}) for t in facts["tables"]]
    old = Run(lake, facts | {"tables": [t for t in pinned if t["name"] != "dynamics"]})
    build_tiny_lake(root, run_id=SECOND, samples=SAMPLES)
    assert old.scan("predictions").collect()["temperature"].null_count() == SAMPLES
    assert old.scan("dynamics").collect().is_empty()
    assert lake.run(SECOND).scan("predictions").collect()["temperature"].null_count() == 0


def test_a_lake_from_before_originals_is_read_and_written_beside(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    build_tiny_lake(root, run_id=FIRST, samples=SAMPLES)
    older = tiny_tables(run_id=FIRST, samples=SAMPLES)["images"].drop("original", "original_width", "original_height")
    write_raw(root / "images", older, mode="overwrite", schema_mode="overwrite", partition_by=["dataset_id"])
    lake = Lake(root)
    lake.add_rows("images", older.tail(1).with_columns(sample_id=999, original=pl.lit(b"x"), **WIDE))
    found = lake.staged("images", older["dataset_id"][0]).sort("sample_id").collect()
    assert found["original"].to_list() == [None] * SAMPLES + [b"x"]


def test_images_with_large_originals_are_in_smaller_row_groups(tmp_path: Path) -> None:
    lake, rng = Lake(tmp_path / "lake"), np.random.default_rng(0)
    for dataset, size in (("small", 0), ("large", 100_000)):
        original = [rng.bytes(size) or None for _ in range(200)]
        rows = {"dataset_id": dataset, "sample_id": range(200), "png": b"x", "width": 1, "height": 1}
        lake.add_rows("images", pl.DataFrame(rows).with_columns(original=pl.Series(original, dtype=pl.Binary), **WIDE))
    groups = {path.parent.name: pq.ParquetFile(path).num_row_groups for path in (tmp_path / "lake").rglob("*.parquet")}
    assert groups == {"dataset_id=small": 1, "dataset_id=large": 5}


def test_a_run_id_that_does_not_exist_is_answered_with_the_latest(lake: Lake) -> None:
    with pytest.raises(LakeError, match=f"no run 'nonsense': the latest is {FIRST}"):
        lake.run("nonsense")


def test_an_empty_lake_says_how_to_fill_it(empty_lake: str) -> None:
    lake = Lake(empty_lake)
    assert lake.runs().is_empty()
    assert lake.runs().columns == TABLES["runs"].column_names()
    with pytest.raises(LakeError, match="has no published run yet: run `latentlake refresh --lake "):
        lake.run()
    assert not Path(empty_lake).exists(), "reading creates nothing"


def test_a_lake_of_a_newer_format_is_not_misread(lake: Lake) -> None:
    newer = lake.runs().with_columns(run_id=pl.lit("newer"), format_version=pl.lit(FORMAT_VERSION + 1))
    write_raw(folder_of(lake, "runs"), newer, mode="append")
    with pytest.raises(LakeError, match=f"runs in format {FORMAT_VERSION + 1}, .* Install a newer version"):
        lake.run(FIRST)


def _assert_refused(lake: Lake, sentence: str) -> None:
    with pytest.raises(LakeError, match=f"Nothing was published: .*{sentence}"):
        lake.publish(facts_of(SECOND))
    assert run_ids(lake) == [FIRST]
