"""The publish protocol: what readers see before, during and after a publish, a crash and damage."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from lake.contracts import DATASET_TABLES, FORMAT_VERSION, RUN_TABLES, TABLES
from lake.errors import LakeError, RetryLater
from lake.store import Lake, Run, reading
from tests.tiny_lake import build_tiny_lake, run_facts, stage_all, tiny_tables

FIRST, SECOND = "20260101-000000-aaaaaa", "20260102-000000-bbbbbb"
SAMPLES = 40
REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = str(tmp_path_factory.mktemp("built") / "lake")
    build_tiny_lake(root, run_id=FIRST, samples=SAMPLES)
    return root


@pytest.fixture
def lake(built: str, tmp_path: Path) -> Lake:
    """A lake of its own with one run, `FIRST`."""
    shutil.copytree(built, tmp_path / "lake")
    return Lake(tmp_path / "lake")


@pytest.fixture(scope="module")
def built_and_staged(built: str, tmp_path_factory: pytest.TempPathFactory, tables: dict[str, pl.DataFrame]) -> str:
    root = tmp_path_factory.mktemp("staged") / "lake"
    shutil.copytree(built, root)
    stage_all(Lake(root), tables)
    return str(root)


@pytest.fixture
def staged_lake(built_and_staged: str, tmp_path: Path) -> Lake:
    """A lake of its own with `FIRST` published and `SECOND` staged."""
    shutil.copytree(built_and_staged, tmp_path / "lake")
    return Lake(tmp_path / "lake")


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    """The tables of a second run on the same dataset."""
    return tiny_tables(run_id=SECOND, samples=SAMPLES)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = _mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder))
    if mounted.returncode:
        pytest.skip(f"mounting a small disk is not permitted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_reader_sees_every_table_of_a_published_run(lake: Lake) -> None:
    run = lake.run()
    counts = {name: run.scan(name).select(pl.len()).collect().item() for name in (*DATASET_TABLES, *RUN_TABLES)}
    assert counts == {table["name"]: table["rows"] for table in run.facts["tables"]}
    assert all(counts.values())
    assert run.facts["format_version"] == FORMAT_VERSION
    assert run.facts["published_at"].tzinfo is not None


def test_what_was_staged_is_read_back_unchanged(lake: Lake) -> None:
    run = lake.run()
    for name, frame in tiny_tables(run_id=FIRST, samples=SAMPLES).items():
        contract = TABLES[name]
        expected = contract.validate(frame, cast=True).sort(contract.primary_key())
        read = run.scan(name).collect().select(expected.columns).sort(contract.primary_key())
        assert read.equals(expected), name


def test_a_reader_never_sees_an_unpublished_run(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    open_run, before = lake.run(), _contents(lake.run())
    for name, frame in tables.items():
        lake.stage(name, frame)
        assert _run_ids(lake) == [FIRST]
    assert _contents(open_run) == before
    assert _contents(Lake(lake.root).run()) == before


def test_staging_twice_keeps_one_copy(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    for _ in range(2):
        stage_all(lake, tables)
    for name, frame in tables.items():
        key = frame["dataset_id" if name in DATASET_TABLES else "run_id"][0]
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
        staged_lake.publish(_facts(SECOND))
    assert _run_ids(staged_lake) == [SECOND, FIRST]


def test_publishing_a_run_again_does_not_move_it(lake: Lake) -> None:
    before = lake.run(FIRST).facts
    lake.stage("training", tiny_tables(run_id=FIRST, samples=SAMPLES)["training"])
    lake.publish(_facts(FIRST))
    assert lake.run(FIRST).facts == before


def test_a_run_is_read_at_its_pinned_version_after_later_runs_and_restaging(
    staged_lake: Lake, tables: dict[str, pl.DataFrame]
) -> None:
    lake = staged_lake
    opened_before, before = lake.run(FIRST), _contents(lake.run(FIRST))
    lake.publish(_facts(SECOND))
    other = tiny_tables(run_id=FIRST, samples=SAMPLES, seed=7)
    restaged = {name: frame for name, frame in other.items() if name not in DATASET_TABLES}
    stage_all(lake, restaged)
    lake.stage("properties", tables["properties"].with_columns(contrast=pl.lit(1.0)))
    assert _contents(opened_before) == before
    assert _contents(Lake(lake.root).run(FIRST)) == before
    assert lake.run().run_id == SECOND


def test_the_newest_publish_is_the_latest_run(lake: Lake) -> None:
    build_tiny_lake(lake.root, run_id="20250101-000000-older", samples=SAMPLES)
    assert _run_ids(lake) == ["20250101-000000-older", FIRST]


def test_a_run_without_findings_is_published(staged_lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    lake = staged_lake
    lake.stage("findings", tables["findings"].clear(), key=SECOND)
    lake.publish(_facts(SECOND))
    assert lake.run(SECOND).scan("findings").collect().is_empty()
    assert lake.run(FIRST).scan("findings").collect().height == 2


def test_the_first_run_of_a_lake_may_have_no_findings(tmp_path: Path) -> None:
    lake, tables = Lake(tmp_path / "new"), tiny_tables(samples=SAMPLES)
    stage_all(lake, {name: frame for name, frame in tables.items() if name != "findings"})
    lake.stage("findings", tables["findings"].clear(), key=FIRST)
    lake.publish(_facts(FIRST))
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
    with pytest.raises(LakeError, match="expected rows of one run_id in lower case, digits and dashes"):
        lake.stage("training", tables["training"].with_columns(run_id=pl.lit(key, dtype=pl.String)))


def test_rows_of_two_runs_are_refused(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    with pytest.raises(LakeError, match="expected rows of one run_id"):
        lake.stage("training", tables["training"], key=FIRST)


def test_a_contract_broken_behind_our_back_publishes_nothing(
    staged_lake: Lake, tables: dict[str, pl.DataFrame]
) -> None:
    negative = tables["predictions"].with_columns(loss=pl.lit(-1.0))
    write_deltalake(staged_lake.uri("predictions"), negative, mode="overwrite", predicate=f"run_id = '{SECOND}'")
    _assert_refused(staged_lake, "the table predictions breaks its contract")


def test_a_prediction_of_an_unknown_sample_publishes_nothing(
    staged_lake: Lake, tables: dict[str, pl.DataFrame]
) -> None:
    staged_lake.stage("samples", tables["samples"].filter(pl.col("sample_id") != 7))
    _assert_refused(staged_lake, "1 scored samples are not in samples")


@pytest.mark.parametrize("table", ["images", "properties"])
def test_a_scored_sample_without_its_image_or_properties_publishes_nothing(
    staged_lake: Lake, tables: dict[str, pl.DataFrame], table: str
) -> None:
    staged_lake.stage(table, tables[table].head(SAMPLES - 3))
    _assert_refused(staged_lake, f"3 scored samples are not in {table}")


@pytest.mark.parametrize("table", ["predictions", "embeddings", "projection", "clusters", "neighbors"])
def test_a_sample_one_stage_left_out_publishes_nothing(
    staged_lake: Lake, tables: dict[str, pl.DataFrame], table: str
) -> None:
    staged_lake.stage(table, tables[table].filter(pl.col("sample_id") != 7))
    _assert_refused(staged_lake, "not every stage has measured the same samples")


def test_a_sample_left_out_by_one_clustering_publishes_nothing(
    staged_lake: Lake, tables: dict[str, pl.DataFrame]
) -> None:
    left_out = (pl.col("sample_id") == 7) & (pl.col("method") == "hdbscan")
    staged_lake.stage("clusters", tables["clusters"].filter(~left_out))
    _assert_refused(staged_lake, "not every stage has measured the same samples")


def test_a_neighbor_that_is_not_a_sample_publishes_nothing(staged_lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    strange = tables["neighbors"].with_columns(neighbor_id=pl.lit(10**6))
    staged_lake.stage("neighbors", strange)
    _assert_refused(staged_lake, "rows of neighbors have a neighbor_id that is not a sample")


def test_dynamics_of_an_unknown_sample_publish_nothing(staged_lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    staged_lake.stage("dynamics", tables["dynamics"].with_columns(pl.col("sample_id") + 10_000))
    _assert_refused(staged_lake, "rows of dynamics have a sample_id that is not a sample")


def test_a_table_never_staged_publishes_nothing(tmp_path: Path, tables: dict[str, pl.DataFrame]) -> None:
    lake = Lake(tmp_path / "new")
    stage_all(lake, {name: frame for name, frame in tables.items() if name != "metrics"})
    with pytest.raises(LakeError, match="The table metrics has not been staged"):
        lake.publish(_facts(SECOND))
    assert lake.runs().is_empty()


def test_a_run_older_than_a_column_or_a_table_is_read_and_written_beside(tmp_path: Path) -> None:
    """As a lake of the previous version looks: no `temperature`, no `dynamics`; the new run has both."""
    root = tmp_path / "lake"
    build_tiny_lake(root, run_id=FIRST, samples=SAMPLES)
    older = tiny_tables(run_id=FIRST, samples=SAMPLES)["predictions"].drop("temperature")
    write_deltalake(root / "predictions", older, mode="overwrite", schema_mode="overwrite", partition_by=["run_id"])
    lake = Lake(root)
    facts = lake.run(FIRST).facts
    version = DeltaTable(root / "predictions").version()
    pinned = [t | ({"version": version} if t["name"] == "predictions" else {}) for t in facts["tables"]]
    old = Run(lake, facts | {"tables": [t for t in pinned if t["name"] != "dynamics"]})
    build_tiny_lake(root, run_id=SECOND, samples=SAMPLES)
    assert old.scan("predictions").collect()["temperature"].null_count() == SAMPLES
    assert old.scan("dynamics").collect().is_empty()
    assert lake.run(SECOND).scan("predictions").collect()["temperature"].null_count() == 0


def test_a_run_id_that_does_not_exist_is_answered_with_the_latest(lake: Lake) -> None:
    with pytest.raises(LakeError, match=f"no run 'nonsense': the latest is {FIRST}"):
        lake.run("nonsense")


def test_an_empty_lake_says_how_to_fill_it(empty_lake: str) -> None:
    lake = Lake(empty_lake)
    assert lake.runs().is_empty()
    assert lake.runs().columns == TABLES["runs"].column_names()
    with pytest.raises(LakeError, match="has no published run yet: run `latentlake refresh`"):
        lake.run()
    assert not Path(empty_lake).exists(), "reading creates nothing"


def test_a_lake_of_a_newer_format_is_not_misread(lake: Lake) -> None:
    newer = lake.runs().with_columns(run_id=pl.lit("newer"), format_version=pl.lit(FORMAT_VERSION + 1))
    write_deltalake(lake.uri("runs"), newer, mode="append")
    with pytest.raises(LakeError, match=f"runs of format {FORMAT_VERSION + 1}; .* Install the newer latentlake"):
        lake.run(FIRST)


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.95])
@pytest.mark.parametrize("table", ["runs", "predictions"])
def test_a_parquet_file_cut_short_is_a_sentence(lake: Lake, table: str, kept: float) -> None:
    for file in Path(lake.uri(table)).rglob("*.parquet"):
        content = file.read_bytes()
        file.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    _assert_unreadable(lake, table)


@pytest.mark.parametrize("table", ["runs", "predictions"])
def test_a_parquet_file_of_noise_is_a_sentence(lake: Lake, table: str) -> None:
    for file in Path(lake.uri(table)).rglob("*.parquet"):
        file.write_bytes(os.urandom(file.stat().st_size))
    _assert_unreadable(lake, table)


@pytest.mark.parametrize("table", ["runs", "predictions"])
def test_a_parquet_file_that_is_gone_is_a_sentence(lake: Lake, table: str) -> None:
    for file in Path(lake.uri(table)).rglob("*.parquet"):
        file.unlink()
    _assert_unreadable(lake, table)


@pytest.mark.parametrize("content", [b"", b"{", b"not json\n", b'{"add": 3}\n', bytes(range(256))])
@pytest.mark.parametrize("table", ["runs", "predictions"])
def test_a_corrupted_log_is_a_sentence(lake: Lake, table: str, content: bytes) -> None:
    next(Path(lake.uri(table), "_delta_log").glob("*.json")).write_bytes(content)
    _assert_unreadable(lake, table)


def test_a_damaged_staged_table_publishes_nothing(staged_lake: Lake) -> None:
    for file in Path(staged_lake.uri("embeddings"), f"run_id={SECOND}").glob("*.parquet"):
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(LakeError, match="cannot be read"):
        staged_lake.publish(_facts(SECOND))
    assert _run_ids(staged_lake) == [FIRST]


def test_a_lake_below_a_file_cannot_be_written_and_says_so(tmp_path: Path, tables: dict[str, pl.DataFrame]) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(LakeError, match=r"cannot be written .* published before is untouched"):
        Lake(tmp_path / "file" / "lake").stage("training", tables["training"])


def test_a_read_only_lake_is_read_and_refuses_to_be_written(
    built: str, small_disk: Path, tables: dict[str, pl.DataFrame]
) -> None:
    shutil.copytree(built, small_disk / "lake")
    remounted = _mount("-o", "remount,ro", str(small_disk))
    assert remounted.returncode == 0, remounted.stderr
    lake = Lake(small_disk / "lake")
    before = _contents(lake.run())
    with pytest.raises(LakeError, match=r"cannot be written .* fix the permissions, then refresh again"):
        lake.stage("training", tables["training"])
    with pytest.raises(LakeError, match="cannot be written"):
        lake._append_run(lake.runs().with_columns(run_id=pl.lit(SECOND)))
    assert _contents(Lake(lake.root).run()) == before


def test_a_full_disk_leaves_the_previous_run_readable(
    built: str, small_disk: Path, tables: dict[str, pl.DataFrame]
) -> None:
    shutil.copytree(built, small_disk / "lake")
    lake = Lake(small_disk / "lake")
    before = _contents(lake.run())
    ballast = small_disk / "ballast"
    _fill(ballast, leave=8_000)
    with pytest.raises(LakeError, match=r"cannot be written .* free space or fix the permissions"):
        stage_all(lake, tables)
    assert _contents(Lake(lake.root).run()) == before
    ballast.unlink()
    stage_all(lake, tables)
    _fill(ballast, leave=0)
    with pytest.raises(LakeError, match="cannot be written"):
        lake.publish(_facts(SECOND))
    assert _run_ids(lake) == [FIRST]
    ballast.unlink()
    lake.publish(_facts(SECOND))
    assert _run_ids(lake) == [SECOND, FIRST]


def test_a_process_killed_before_the_runs_row_leaves_the_previous_run(
    lake: Lake, tables: dict[str, pl.DataFrame]
) -> None:
    before = _contents(lake.run())
    killed = _python(
        "import os, signal; from lake.store import Lake; from tests.tiny_lake import build_tiny_lake\n"
        "Lake._append_run = lambda self, row: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"build_tiny_lake({lake.root!r}, run_id={SECOND!r}, samples={SAMPLES})"
    )
    assert killed.wait(timeout=60) == -signal.SIGKILL
    assert lake.staged("metrics", SECOND).collect().height, "it was killed after staging"
    assert _run_ids(lake) == [FIRST]
    assert _contents(Lake(lake.root).run()) == before
    _assert_next_publish_succeeds(lake, tables)


def test_a_process_killed_while_writing_leaves_the_previous_run(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    before = _contents(lake.run())
    for table in ("embeddings", "runs"):
        _kill_on_the_first_new_file(lake, table)
        assert FIRST in _run_ids(Lake(lake.root))
        assert _contents(Lake(lake.root).run(FIRST)) == before
    _assert_next_publish_succeeds(lake, tables)


def test_runs_published_at_the_same_time_are_all_there(lake: Lake) -> None:
    run_ids = _publish_at_once(lake, seeds=[1, 2, 3])
    assert sorted(_run_ids(lake)) == [FIRST, *run_ids]
    for run_id in run_ids:
        assert lake.run(run_id).scan("predictions").collect().height == SAMPLES


def test_refreshes_of_one_dataset_at_the_same_time_are_complete_or_told_to_try_again(lake: Lake) -> None:
    run_ids = _publish_at_once(lake, seeds=[0, 0, 0])
    assert run_ids, "one of them wins"
    assert sorted(_run_ids(lake)) == [FIRST, *run_ids]
    for run_id in run_ids:
        run = lake.run(run_id)
        assert all(run.scan(table["name"]).collect().height == table["rows"] > 0 for table in run.facts["tables"])


def _facts(run_id: str) -> dict[str, object]:
    return run_facts(run_id=run_id, dataset_id=f"tiny-{SAMPLES}-0", samples=SAMPLES)


def _run_ids(lake: Lake) -> list[str]:
    return lake.runs()["run_id"].to_list()


def _contents(run: Run) -> dict[str, str]:
    """Every table of a run but the images, as text that can be compared."""
    names = [name for name in (*DATASET_TABLES, *RUN_TABLES) if name != "images"]
    return {name: run.scan(name).collect().sort(TABLES[name].primary_key()).write_json() for name in names}


def _assert_refused(lake: Lake, sentence: str) -> None:
    with pytest.raises(LakeError, match=f"Nothing was published: .*{sentence}"):
        lake.publish(_facts(SECOND))
    assert _run_ids(lake) == [FIRST]


def _assert_unreadable(lake: Lake, table: str) -> None:
    fresh = Lake(lake.root)
    with pytest.raises(LakeError, match=r"cannot be read .*: restore it from a copy"), reading(fresh.root):
        fresh.run().scan(table if table != "runs" else "samples").collect()


def _assert_next_publish_succeeds(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    stage_all(lake, tables)
    lake.publish(_facts(SECOND))
    assert _run_ids(lake).count(SECOND) == 1
    assert lake.run(SECOND).scan("predictions").collect().height == SAMPLES


def _kill_on_the_first_new_file(lake: Lake, table: str) -> None:
    """Run a publish elsewhere and kill it as soon as it has written a parquet file of the table."""
    known = set(Path(lake.uri(table)).rglob("*.parquet"))
    process = _python(
        "from tests.tiny_lake import build_tiny_lake\n"
        f"build_tiny_lake({lake.root!r}, run_id={SECOND!r}, samples={SAMPLES})"
    )
    deadline = time.monotonic() + 60
    while set(Path(lake.uri(table)).rglob("*.parquet")) == known and process.poll() is None:
        assert time.monotonic() < deadline, f"no file of {table} was written"
        time.sleep(0.0005)
    process.kill()
    process.wait(timeout=60)


def _publish_at_once(lake: Lake, *, seeds: list[int]) -> list[str]:
    """Ids of the runs that were published; the others were told to try again."""

    def publish(i: int, seed: int) -> str | None:
        try:
            build_tiny_lake(lake.root, run_id=f"20260103-00000{i}-cccccc", samples=SAMPLES, seed=seed)
        except RetryLater:
            return None
        return f"20260103-00000{i}-cccccc"

    with ThreadPoolExecutor(len(seeds)) as pool:
        return [run_id for run_id in pool.map(publish, range(len(seeds)), seeds) if run_id]


def _python(code: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY)


def _mount(*arguments: str) -> "subprocess.CompletedProcess[str]":
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command here")
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)


def _fill(file: Path, *, leave: int) -> None:
    """Fill the disk but for `leave` bytes."""
    usage = shutil.disk_usage(file.parent)
    file.write_bytes(b"0" * max(0, usage.free - leave))
