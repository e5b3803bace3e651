"""Crashes, damaged files, full and read-only disks, writers at the same time: one clear sentence, nothing lost."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from deltalake.exceptions import DeltaError

from lake.errors import LakeError, RetryLater, first_line
from lake.storage.damage import explain_read, reading
from lake.storage.disks import find_reason
from lake.storage.store import Lake
from pipeline import cli
from pipeline.engine.progress import Progress
from pipeline.engine.refresh_lock import only_one
from pipeline.refresh.refresh import refresh
from pipeline.settings import load_settings
from tests.support.data.drawn import drawn_dataset
from tests.support.lakes.raw_tables import files_of, folder_of, write_raw
from tests.support.lakes.tiny_lake import publish_tiny_run, stage_all
from tests.support.lakes.two_runs import FIRST, SAMPLES, SECOND, contents, facts_of, run_ids
from tests.support.paths import REPOSITORY


def _flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


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


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "no permission to write in data/lake"),
        (errno.EROFS, "the disk of data/lake is mounted read-only"),
        (errno.ENOSPC, "no space left on the disk of data/lake"),
        (errno.EDQUOT, "the disk quota for data/lake is used up"),
        (errno.EIO, "the disk of data/lake reports an I/O error"),
        (errno.EMFILE, "too many files are open"),
        (errno.EINVAL, None),
    ],
)
def test_what_a_disk_refuses_is_said_whoever_was_refused(number: int, said: str | None) -> None:
    told = os.strerror(number)
    for error in (OSError(number, told), DeltaError(f"Generic LocalFileSystem error: {told} (os error {number})")):
        assert find_reason(error, "data/lake") == said


@pytest.mark.parametrize(
    "told",
    [
        "Generic S3 error: NoSuchBucket: The specified bucket does not exist",
        "Generic S3 error: error sending request for url (http://127.0.0.1:1/lake)",
        "The operation lacked the necessary privileges: AccessDenied",
        "No suitable object store found for s4://lake",
    ],
)
def test_a_lake_far_away_that_is_not_reached_is_not_called_damaged(told: str) -> None:
    for root, is_far in {"s3://bucket/lake": True, "data/lake": False}.items():
        sentence = explain_read(DeltaError(told), root)
        assert sentence is not None
        assert sentence.startswith(f"The lake {root} cannot be reached ({told}): check address") == is_far


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.95])
@pytest.mark.parametrize("table", ["runs", "predictions"])
def test_a_parquet_file_cut_short_is_a_sentence(lake: Lake, table: str, kept: float) -> None:
    for file in files_of(lake, table):
        content = file.read_bytes()
        file.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    _assert_unreadable(lake, table)


@pytest.fixture
def lake_of_command(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """The lake, which commands in this process are given."""
    monkeypatch.setattr(cli, "_settings", lambda *_, **__: load_settings(lake=lake.root))
    return lake


def test_a_file_cut_short_is_named_before_polars_panics(
    lake_of_command: Lake, capfd: pytest.CaptureFixture[str]
) -> None:
    file = files_of(lake_of_command, "predictions")[0]
    size = file.stat().st_size
    os.truncate(file, size - 1)
    sentence = rf"predictions/.*{file.name} is truncated: it has {size - 1:,} of {size:,} bytes\): restore it from"
    with pytest.raises(LakeError, match=sentence):
        cli.status()
    assert "panicked" not in capfd.readouterr().err


def test_a_panic_of_polars_is_told_in_words(lake: Lake) -> None:
    with (
        pytest.raises(LakeError, match=r"cannot be read \(a file is truncated or damaged\): restore"),
        reading(lake.root),
    ):
        raise pl.exceptions.PanicException("called `Result::unwrap()` on an `Err` value")


def test_status_says_of_a_damaged_file_that_the_lake_cannot_be_read(lake_of_command: Lake) -> None:
    file = files_of(lake_of_command, "predictions")[0]
    file.write_bytes(os.urandom(file.stat().st_size))
    with pytest.raises(LakeError, match=r"cannot be read .*: restore it from a backup"):
        cli.status()


def test_a_table_of_something_else_is_named_before_long_work(tmp_path: Path) -> None:
    root = str(tmp_path / "foreign")
    write_raw(Path(root, "runs"), pl.DataFrame({"a": [1]}))
    settings = load_settings(lake=root, work_dir=tmp_path / "work")
    for call in (Lake(root).runs, lambda: refresh(settings, Progress(quiet=True), dataset=drawn_dataset())):
        with pytest.raises(LakeError, match=r"foreign/runs is not a latentlake table \(it lacks run_id and format_ver"):
            call()
    assert not (tmp_path / "work").exists()


def _file(path: Path) -> None:
    path.write_text("no lake")


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "what"),
    [(_file, "is a file"), (os.mkfifo, "is not a folder"), (_dangling, "is a broken link"), (_loop, "cannot")],
)
def test_what_is_no_folder_is_told_and_left_alone(tmp_path: Path, make: Callable[[Path], None], what: str) -> None:
    make(tmp_path / "thing")
    lake = Lake(tmp_path / "thing")
    for use in (lake.run, only_one(lake, Progress(quiet=True)).__enter__):
        with pytest.raises(LakeError, match=f"thing {what}.*: name another (one|folder) with --lake"):
            use()
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_half_a_copy_is_no_new_lake(lake: Lake) -> None:
    for file in files_of(lake, "runs", "_delta_log/*"):
        file.unlink()
    with pytest.raises(
        LakeError, match=r"has tables but no published run: run `latentlake .*`, or restore the runs from"
    ):
        Lake(lake.root).run()
    shutil.rmtree(folder_of(lake, "runs"))
    folder_of(lake, "runs").write_text("")
    with pytest.raises(LakeError, match=r"cannot be read \(runs is a file, but a table must be a folder\): restore it"):
        Lake(lake.root).run()


@pytest.mark.parametrize("table", ["runs", "predictions"])
def test_a_parquet_file_of_noise_is_a_sentence(lake: Lake, table: str) -> None:
    for file in files_of(lake, table):
        file.write_bytes(os.urandom(file.stat().st_size))
    _assert_unreadable(lake, table)


@pytest.mark.parametrize("table", ["runs", "predictions"])
def test_a_parquet_file_that_is_gone_is_a_sentence(lake: Lake, table: str) -> None:
    for file in files_of(lake, table):
        file.unlink()
    _assert_unreadable(lake, table)


@pytest.mark.parametrize("content", [b"", b"{", b"not json\n", b'{"add": 3}\n', bytes(range(256))])
@pytest.mark.parametrize("table", ["runs", "predictions"])
def test_a_corrupted_log_is_a_sentence(lake: Lake, table: str, content: bytes) -> None:
    files_of(lake, table, "_delta_log/*.json")[0].write_bytes(content)
    _assert_unreadable(lake, table)


def test_what_is_whole_is_verified(lake: Lake) -> None:
    assert lake.run().verify()


@pytest.mark.parametrize("damage", [_flip_a_bit, _cut, Path.unlink])
@pytest.mark.parametrize("table", ["images", "predictions", "embeddings", "metrics"])
def test_verify_names_the_table_whose_files_are_not_those_that_were_published(
    lake: Lake, table: str, damage: Callable[[Path], None]
) -> None:
    damage(files_of(lake, table)[0])
    with pytest.raises(LakeError, match=f"is damaged: the files of {table} differ .*Restore the lake from a backup"):
        Lake(lake.root).run().verify()


def test_verify_does_not_mind_what_other_runs_have_in_the_same_tables(staged_lake: Lake) -> None:
    damaged = [*Path(staged_lake.root).rglob(f"run_id={SECOND}/*.parquet")]
    assert damaged
    for file in damaged:
        _flip_a_bit(file)
    assert staged_lake.run(FIRST).verify()


def test_a_damaged_staged_table_publishes_nothing(staged_lake: Lake) -> None:
    for file in files_of(staged_lake, "embeddings", f"run_id={SECOND}/*.parquet"):
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(LakeError, match="cannot be read"):
        staged_lake.publish(facts_of(SECOND))
    assert run_ids(staged_lake) == [FIRST]


def test_a_lake_below_a_file_cannot_be_written_and_says_so(tmp_path: Path, tables: dict[str, pl.DataFrame]) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(LakeError, match=r"cannot be written to .* Published runs are untouched"):
        Lake(tmp_path / "file" / "lake").stage("training", tables["training"])


def test_a_read_only_lake_is_read_and_refuses_to_be_written(
    built: str, small_disk: Path, tables: dict[str, pl.DataFrame]
) -> None:
    shutil.copytree(built, small_disk / "lake")
    remounted = _mount("-o", "remount,ro", str(small_disk))
    assert remounted.returncode == 0, remounted.stderr
    lake = Lake(small_disk / "lake")
    before = contents(lake.run())
    with pytest.raises(LakeError, match=r"cannot be written .* fix the permissions, then refresh again"):
        lake.stage("training", tables["training"])
    with pytest.raises(LakeError, match="cannot be written"):
        lake._append_run(lake.runs().with_columns(run_id=pl.lit(SECOND)))
    assert contents(Lake(lake.root).run()) == before


def test_a_full_disk_leaves_the_previous_run_readable(
    built: str, small_disk: Path, tables: dict[str, pl.DataFrame]
) -> None:
    shutil.copytree(built, small_disk / "lake")
    lake = Lake(small_disk / "lake")
    before = contents(lake.run())
    ballast = small_disk / "ballast"
    _fill(ballast, leave=8_000)
    with pytest.raises(LakeError, match=r"cannot be written to .* Free some space or fix the permissions"):
        stage_all(lake, tables)
    assert contents(Lake(lake.root).run()) == before
    ballast.unlink()
    stage_all(lake, tables)
    _fill(ballast, leave=0)
    with pytest.raises(LakeError, match="cannot be written"):
        lake.publish(facts_of(SECOND))
    assert run_ids(lake) == [FIRST]
    ballast.unlink()
    lake.publish(facts_of(SECOND))
    assert run_ids(lake) == [SECOND, FIRST]


@pytest.mark.long
def test_a_process_killed_before_the_runs_row_leaves_the_previous_run(
    lake: Lake, tables: dict[str, pl.DataFrame]
) -> None:
    before = contents(lake.run())
    killed = _python(
        "import os, signal; from lake.storage.store import Lake\n"
        "from tests.support.lakes.tiny_lake import publish_tiny_run\n"
        "Lake._append_run = lambda self, row: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"publish_tiny_run({lake.root!r}, run_id={SECOND!r}, samples={SAMPLES})"
    )
    assert killed.wait(timeout=60) == -signal.SIGKILL
    assert lake.staged("metrics", SECOND).collect().height, "it was killed after staging"
    assert run_ids(lake) == [FIRST]
    assert contents(Lake(lake.root).run()) == before
    _assert_next_publish_succeeds(lake, tables)


@pytest.mark.long
def test_a_process_killed_while_writing_leaves_the_previous_run(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    before = contents(lake.run())
    for table in ("embeddings", "runs"):
        _kill_on_the_first_new_file(lake, table)
        assert FIRST in run_ids(Lake(lake.root))
        assert contents(Lake(lake.root).run(FIRST)) == before
    _assert_next_publish_succeeds(lake, tables)


@pytest.mark.long
def test_runs_published_at_the_same_time_are_all_there(lake: Lake) -> None:
    published = _publish_at_once(lake, seeds=[1, 2, 3])
    assert sorted(run_ids(lake)) == [FIRST, *published]
    for run_id in published:
        assert lake.run(run_id).scan("predictions").collect().height == SAMPLES


@pytest.mark.long
def test_refreshes_of_one_dataset_at_the_same_time_are_complete_or_told_to_try_again(lake: Lake) -> None:
    published = _publish_at_once(lake, seeds=[0, 0, 0])
    assert published, "one of them wins"
    assert sorted(run_ids(lake)) == [FIRST, *published]
    for run_id in published:
        run = lake.run(run_id)
        assert all(run.scan(table["name"]).collect().height == table["rows"] for table in run.facts["tables"])


def _assert_unreadable(lake: Lake, table: str) -> None:
    fresh = Lake(lake.root)
    with pytest.raises(LakeError, match=r"cannot be read .*: restore it from a backup"), reading(fresh.root):
        fresh.run().scan(table if table != "runs" else "samples").collect()


def _assert_next_publish_succeeds(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    stage_all(lake, tables)
    lake.publish(facts_of(SECOND))
    assert run_ids(lake).count(SECOND) == 1
    assert lake.run(SECOND).scan("predictions").collect().height == SAMPLES


def _kill_on_the_first_new_file(lake: Lake, table: str) -> None:
    """Run a publish elsewhere and kill it as soon as it has written a parquet file of the table."""
    known = set(files_of(lake, table))
    process = _python(
        "from tests.support.lakes.tiny_lake import publish_tiny_run\n"
        f"publish_tiny_run({lake.root!r}, run_id={SECOND!r}, samples={SAMPLES})"
    )
    deadline = time.monotonic() + 60
    while set(files_of(lake, table)) == known and process.poll() is None:
        assert time.monotonic() < deadline, f"no file of {table} was written"
        time.sleep(0.0005)
    process.kill()
    process.wait(timeout=60)


def _publish_at_once(lake: Lake, *, seeds: list[int]) -> list[str]:
    """Ids of the runs that were published; the others were told to try again."""

    def publish(i: int, seed: int) -> str | None:
        try:
            publish_tiny_run(lake.root, run_id=f"20260103-00000{i}-cccccc", samples=SAMPLES, seed=seed)
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


@pytest.mark.parametrize(
    ("said", "first"),
    [
        (ValueError("no such file\nbacktrace"), "no such file"),
        (ValueError("\n  not a parquet file  \n"), "not a parquet file"),
        (ValueError(""), "ValueError"),
        ("npm: not found\n", "npm: not found"),
        ("", "no reason given"),
        (OSError("x" * 500), "x" * 200),
    ],
)
def test_the_first_line_of_an_error_is_said_else_its_name(said: Exception | str, first: str) -> None:
    assert first_line(said) == first
