"""A refresh from a timer: due or not, nothing new in a moment, refused when worse, stopped in time, told as JSON."""

import datetime as dt
import errno
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from lake.errors import BrokenContract, LakeError, RetryLater, UsageError
from lake.storage import store
from lake.storage.store import Lake, Run
from pipeline.commands import refresh as refresh_command
from pipeline.commands.refresh import RefreshOptions, parse_duration
from pipeline.engine import refresh_lock
from pipeline.engine.progress import Progress
from pipeline.engine.refresh_lock import Holder, only_one
from pipeline.refresh import accuracy_gate
from pipeline.refresh.accuracy_gate import Refused, find_reason
from pipeline.refresh.refresh import _publish, refresh
from pipeline.refresh.unchanged import find_answer
from pipeline.settings import Settings
from tests.support.data.drawn import drawn_dataset, tiny_settings
from tests.support.data.external import external_settings, external_table
from tests.support.lakes.raw_tables import folder_of, read_raw, write_raw
from tests.support.lakes.tiny_lake import build_tiny_lake, publish_tiny_run
from tests.support.lakes.two_runs import FIRST, SECOND, facts_of, run_ids
from tests.support.paths import REPOSITORY
from tests.support.processes.commands import latentlake

QUIET = Progress(quiet=True)


@pytest.fixture
def folder(drawn_folder: Path, tmp_path: Path) -> Path:
    """A copy of the refreshed folder to write to."""
    return Path(shutil.copytree(drawn_folder, tmp_path / "drawn"))


def again(folder: Path, *, force: bool = False, **settings: object) -> str:
    return refresh(tiny_settings(folder, **settings), QUIET, dataset=drawn_dataset(), force=force).run_id


# --- nothing new


def test_once_asked_the_same_request_is_answered_without_the_data(folder: Path) -> None:
    settings, lake = tiny_settings(folder), Lake(folder / "lake")
    assert find_answer(settings, lake) is None, "the copy lies elsewhere"
    run_id = again(folder)
    assert find_answer(settings, lake) == run_id
    summary = refresh_command.run(settings, RefreshOptions())
    assert (summary["status"], summary["run_id"], summary["exit_code"]) == ("nothing new", run_id, 0)
    assert len(lake.runs()) == 1


def test_a_changed_setting_or_a_newer_run_is_asked_again(folder: Path) -> None:
    again(folder)
    lake = Lake(folder / "lake")
    assert find_answer(tiny_settings(folder, kmeans_clusters=5), lake) is None
    build_tiny_lake(lake.root, run_id="20270101-000000-aaaaaa")
    assert find_answer(tiny_settings(folder), lake) is None


def test_the_threads_and_folders_that_change_no_result_are_no_news(folder: Path) -> None:
    run_id = again(folder)
    assert find_answer(tiny_settings(folder, cache_dir=folder / "elsewhere"), Lake(folder / "lake")) == run_id


@pytest.mark.long
def test_what_was_published_before_something_else_is_published_again(folder: Path) -> None:
    first = again(folder)
    second = again(folder, kmeans_clusters=5)
    third = again(folder)
    runs = Lake(folder / "lake").runs()
    assert runs["run_id"].to_list() == [third, second, first]
    assert runs["fingerprint"][0] == runs["fingerprint"][2]


# --- is it due


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5400), ("24h", 86400), ("7d", 604800), (" 1.5h ", 5400)])
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == dt.timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["24", "h", "-1h", "1w", "1e9h", "99999999d", ""])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected minutes, hours or days"):
        parse_duration(text)


@pytest.mark.parametrize("hours", [0, -1, math.nan, math.inf])
def test_hours_that_limit_nothing_are_refused(hours: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"^--max-hours {hours:g}: give a number of hours above 0\.$"):
        refresh_command.run(tiny_settings(tmp_path), RefreshOptions(max_hours=hours))


def test_a_young_run_is_not_due_and_an_old_one_is(tmp_path: Path) -> None:
    publish_tiny_run(tmp_path / "lake")
    with pytest.raises(
        RetryLater, match=r"Not due: the latest run is 0\.0 hours old, and the next refresh is due after 24"
    ):
        refresh_command.run(tiny_settings(tmp_path), RefreshOptions(if_stale="24h"))
    old = read_raw(tmp_path / "lake" / "runs")
    for shift in (dt.timedelta(hours=-25), dt.timedelta(hours=5)):  # old, and from before the clock went back
        moved = old.with_columns(pl.col("published_at") + shift)
        shutil.rmtree(tmp_path / "lake" / "runs")
        write_raw(tmp_path / "lake" / "runs", moved)
        refresh_command._wait_until_stale(Lake(tmp_path / "lake"), dt.timedelta(hours=24))


# --- the lock


def test_who_holds_the_lock_is_named(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    program = f"""
import time
from lake.storage.store import Lake
from pipeline.engine.refresh_lock import only_one
from pipeline.engine.progress import Progress
with only_one(Lake({lake.root!r}), Progress(quiet=True)):
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        with (
            pytest.raises(RetryLater, match=rf"is running \(pid {other.pid} of .+@.+, for 0 minutes\)"),
            only_one(lake, QUIET),
        ):
            pass
        other.kill()
        other.wait()
        with only_one(lake, QUIET):
            held = Holder.model_validate_json((tmp_path / "lake" / "refresh.holder.json").read_text())
            assert held.pid == os.getpid()
    assert not (tmp_path / "lake" / "refresh.holder.json").exists()


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1}', "[]"])
def test_a_damaged_note_of_the_holder_stops_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "refresh.holder.json").write_text(text)
    with only_one(Lake(tmp_path / "lake"), QUIET):
        assert refresh_lock._read_holder(tmp_path / "lake" / "refresh.holder.json") is not None


def test_a_clock_that_went_back_makes_no_negative_age() -> None:
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    assert "for 0 minutes" in Holder(owner="ada@host", pid=1, since=tomorrow).describe()


# --- the gate


def accuracies(monkeypatch: pytest.MonkeyPatch, before: float | None) -> None:
    monkeypatch.setattr(accuracy_gate, "accuracy_of", lambda run: before if run else None)


@pytest.mark.parametrize(
    ("now", "before", "refused"),
    [
        (0.90, 0.93, True),
        (0.9099, 0.93, True),
        (0.91, 0.93, False),
        (0.92, 0.93, False),
        (0.95, 0.93, False),
        (None, 0.93, True),
        (None, 0.02, False),
        (None, None, False),
        (0.9, None, False),
    ],
)
def test_a_fall_beyond_the_limit_is_refused_and_nothing_else(
    tiny_lake: str, monkeypatch: pytest.MonkeyPatch, now: float | None, before: float | None, refused: bool
) -> None:
    accuracies(monkeypatch, before)
    reason = find_reason(now, Lake(tiny_lake).run(), Settings())
    assert (reason is not None) == refused
    assert find_reason(now, None, Settings()) is None


def say(folder: Path, *, worse: bool, force: bool = False) -> str:
    """A refresh of what another model says, which takes three of four discs for rings where it is worse."""
    table = external_table(confused=0.75 if worse else 0).drop("image", "embedding")
    return refresh(external_settings(folder, table), QUIET, force=force).run_id


def train(folder: Path, *, worse: bool, force: bool = False) -> str:
    """A refresh whose training is far too short to get as good where it is worse."""
    return again(folder, force=force, **({"phases": [{"resolution": 32, "epochs": 0.2}]} if worse else {}))


@pytest.mark.parametrize("publish", [say, pytest.param(train, marks=pytest.mark.long)])
def test_a_worse_run_is_kept_from_readers_and_published_only_by_force(
    folder: Path, publish: Callable[..., str]
) -> None:
    lake = Lake(folder / "lake")
    before = publish(folder, worse=False)
    with pytest.raises(Refused, match=r"not published: the test accuracy fell from .* --force publishes"):
        publish(folder, worse=True)
    assert lake.run().run_id == before
    (row,) = lake.rejected().iter_rows(named=True)
    assert row["before_run_id"] == before and row["test_accuracy"] < row["accuracy_before"] - 0.02
    staged = lake.staged("predictions", row["run_id"]).select(pl.len()).collect().item()
    assert staged == lake.run(before).scan("predictions").select(pl.len()).collect().item(), "it can be looked into"
    with pytest.raises(Refused):
        publish(folder, worse=True)
    assert len(lake.rejected()) == 1, "the same is not refused twice"
    forced = lake.run(publish(folder, worse=True, force=True))
    assert "fell from" in forced.facts["forced"] and lake.run().run_id == forced.run_id


def test_a_run_that_breaks_a_contract_is_recorded_and_not_published(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> int:
        raise BrokenContract("the stages have measured different sets of samples.")

    monkeypatch.setattr(store, "validate", broken)
    with pytest.raises(BrokenContract, match="Nothing was published: the stages have"):
        again(folder, kmeans_clusters=5)
    assert "the stages have" in Lake(folder / "lake").rejected()["reason"][0]
    assert len(Lake(folder / "lake").runs()) == 1
    with pytest.raises(Refused, match="the stages have"):
        again(folder, kmeans_clusters=5)


@pytest.mark.long
def test_an_error_of_the_machine_while_publishing_is_told_and_forgotten(staged_lake: Lake) -> None:
    steps = ("Lake._newest", "validate", "Lake.digest", "Lake.append_once")
    for step, number in itertools.product(steps, (errno.EMFILE, errno.EACCES, errno.ENOSPC)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"lake.storage.store.{step}", _fail(OSError(number, os.strerror(number))))
            with pytest.raises(LakeError, match=r"cannot be (read|written)"):
                _publish(staged_lake, facts_of(SECOND), 1.0, Settings(), force=False)
        assert staged_lake.rejected().is_empty() and run_ids(staged_lake) == [FIRST]
    _publish(staged_lake, facts_of(SECOND), 1.0, Settings(), force=False)
    assert run_ids(staged_lake) == [SECOND, FIRST]


def _fail(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


# --- the time


@pytest.mark.long
def test_a_refresh_out_of_time_stops_and_the_next_goes_on(folder: Path) -> None:
    shutil.rmtree(folder / "work")
    settings = tiny_settings(folder)
    with pytest.raises(RetryLater, match=r"Stopped after 0\.0003 hours .* the next refresh continues") as stopped:
        refresh(settings, Progress(quiet=True, hours=0.0003), dataset=drawn_dataset(), force=True)
    assert stopped.value.exit_code == 75
    assert len(Lake(folder / "lake").runs()) == 1
    assert refresh(settings, QUIET, dataset=drawn_dataset(), force=True).published


# --- the command


def test_the_summary_is_one_json_object_and_so_is_each_line_of_the_log(folder: Path) -> None:
    run_id = again(folder)
    config = folder / "settings.toml"
    dumped = tiny_settings(folder).model_dump(mode="json", exclude_none=True)
    phases = dumped.pop("phases")
    lines = [f"{name} = {json.dumps(value)}" for name, value in dumped.items()]
    tables = [f"[[phases]]\nresolution = {p['resolution']}\nepochs = {p['epochs']}" for p in phases]
    config.write_text("\n".join([*lines, *tables]))
    done = latentlake("refresh", "--config", str(config), "--json", LATENTLAKE_LOG="json")
    summary = json.loads(done.stdout)
    assert (done.returncode, summary["status"], summary["run_id"]) == (0, "nothing new", run_id)
    assert summary["rows"]["predictions"] == 400 and 0 < summary["test_accuracy"] <= 1
    assert ["Nothing new" in json.loads(line)["event"] for line in done.stderr.splitlines()] == [True]


def test_what_goes_wrong_is_json_too_with_its_exit_code(tmp_path: Path) -> None:
    build_tiny_lake(str(tmp_path / "lake"))
    done = latentlake("refresh", "--lake", str(tmp_path / "lake"), "--if-stale", "24h", "--json")
    assert done.returncode == json.loads(done.stdout)["exit_code"] == 75
    assert json.loads(done.stdout)["status"] == "retry later" and "Not due" in done.stderr
    assert "Traceback" not in done.stderr
    wrong = latentlake("refresh", "--lake", str(tmp_path / "lake"), "--if-stale", "soon", "--json")
    assert wrong.returncode == json.loads(wrong.stdout)["exit_code"] == 2


def test_runs_of_before_the_gate_are_read(tmp_path: Path) -> None:
    lake = build_tiny_lake(str(tmp_path / "lake"))
    old = pl.read_delta(lake.uri("runs")).drop("forced")
    shutil.rmtree(folder_of(lake, "runs"))
    write_raw(folder_of(lake, "runs"), old)
    run: Run = lake.run()
    assert run.facts["forced"] is None
    build_tiny_lake(str(tmp_path / "lake"), run_id="20270101-000000-bbbbbb")
    assert len(lake.runs()) == 2
