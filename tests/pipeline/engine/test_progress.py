"""What people are told while they wait: how much is done and how long the rest takes."""

import io
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

import pytest
import structlog
from rich.console import Console
from structlog.testing import capture_logs

from lake.storage.store import Lake
from pipeline.engine import progress as progress_module
from pipeline.engine.log_setup import unfailing
from pipeline.engine.progress import Progress, Task
from pipeline.refresh.refresh import refresh
from tests.support.data.drawn import drawn_dataset, tiny_settings


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that pass only when a test says so."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_equal_steps_share_the_time(clock: list[float]) -> None:
    task = Task("score", 10, None, quiet=True)
    clock[0] += 4
    task.advance(2)
    assert task.seconds_left() == pytest.approx(16)


def test_slow_steps_at_the_end_are_known_beforehand(clock: list[float]) -> None:
    task = Task("train", 4, None, quiet=True, work=[1, 1, 4, 4])
    clock[0] += 2
    task.advance()
    assert task.seconds_left() == pytest.approx(18)


def test_steps_of_an_earlier_process_say_nothing_of_this_one(clock: list[float]) -> None:
    task = Task("train", 10, None, quiet=True, done=8)
    clock[0] += 3
    task.advance()
    assert task.done == 9 and task.seconds_left() == pytest.approx(3)


def test_a_terminal_shows_steps_time_left_and_the_note() -> None:
    out = io.StringIO()
    progress = Progress(Console(file=out, force_terminal=True, width=120))
    with progress.task("train", 4, done=1, work=[1, 1, 1, 1]) as task:
        task.advance(3, "loss 0.5")
    assert "train" in out.getvalue() and "4/4" in out.getvalue() and "0 s left loss 0.5" in out.getvalue()


def test_a_terminal_shows_names_as_they_are() -> None:
    out = io.StringIO()
    progress = Progress(Console(file=out, force_terminal=True, width=120))
    progress.say("data [/cats]: [red] :cat:")
    with progress.task("train", 1) as task:
        task.advance(1, "[/cats] [bold]")
    assert "data [/cats]: [red] :cat:" in out.getvalue() and "[/cats] [bold]" in out.getvalue()


def test_a_line_leaves_out_what_is_empty(clock: list[float]) -> None:
    with capture_logs() as lines:
        task = Task("score", 10, None, quiet=False)
        clock[0] += 10
        task.advance(5)
    assert lines == [{"event": "score", "done": 5, "total": 10, "left": "10 s", "log_level": "info"}]


def test_steps_beyond_the_total_are_told_and_leave_no_time(clock: list[float]) -> None:
    task = Task("write", 2, None, quiet=True)
    clock[0] += 3
    task.advance(3)
    assert (task.done, task.seconds_left()) == (3, 0)


@pytest.mark.parametrize(("work", "steps"), [(None, 0), ([0, 0], 1)])
def test_before_any_work_no_time_is_told(work: list[int] | None, steps: int, clock: list[float]) -> None:
    task = Task("train", 2, None, quiet=True, work=work)
    clock[0] += 3
    task.advance(steps)
    assert task.seconds_left() is None


class Broken(io.StringIO):
    """A stream whose other end is gone, or whose disk is full."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error


@pytest.fixture(params=[BrokenPipeError(), OSError(28, "No space left on device"), ValueError("closed file")], ids=repr)
def broken(request: pytest.FixtureRequest) -> Broken:
    return Broken(request.param)


@pytest.fixture
def log() -> Iterator[Callable[[TextIO], None]]:
    """`log(stream)` sends the log there until the test ends."""
    yield lambda stream: structlog.configure(logger_factory=structlog.PrintLoggerFactory(stream))
    structlog.reset_defaults()


def test_bars_that_cannot_be_written_fail_nothing(broken: Broken) -> None:
    progress = Progress(Console(file=unfailing(broken), force_terminal=True, width=120))
    progress.say("train ...")
    with progress.task("train", 2) as task:
        task.advance(2)
    assert task.done == 2


def test_lines_that_cannot_be_written_fail_nothing(
    broken: Broken, log: Callable[[TextIO], None], clock: list[float]
) -> None:
    log(broken)
    progress = Progress(Console(file=io.StringIO()))
    progress.say("train ...")
    with progress.task("train", 2) as task:
        clock[0] += 6
        task.advance(2)
    assert task.done == 2


@pytest.fixture
def slow_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing a table takes six seconds by the clock of the progress, which passes no other way."""
    now, stage = [100.0], Lake.stage

    def stage_slowly(*arguments: Any, **options: Any) -> None:
        now[0] += 6
        stage(*arguments, **options)

    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(Lake, "stage", stage_slowly)


def test_slow_writes_are_counted_table_by_table_and_published(
    drawn_folder: Path, tmp_path: Path, slow_writes: None
) -> None:
    folder = Path(shutil.copytree(drawn_folder, tmp_path / "drawn"))
    with capture_logs() as lines:
        outcome = refresh(tiny_settings(folder), Progress(bars=False), dataset=drawn_dataset(), force=True)
    assert outcome.published and Lake(folder / "lake").run(outcome.run_id).verify()
    written = [line for line in lines if line["event"] == "write"]
    total = written[0]["total"]
    assert [line["done"] for line in written] == list(range(2, total + 1))  # the images were there, which took no time
    assert written[-1]["left"] == "0 s"
