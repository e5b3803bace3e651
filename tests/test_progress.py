"""What people are told while they wait: how much is done and how long the rest takes."""

import io
import time

import pytest
from rich.console import Console

from pipeline.progress import Progress, Task


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_equal_steps_share_the_time(clock):
    task = Task("score", 10, None, quiet=True)
    clock[0] += 4
    task.advance(2)
    assert task.seconds_left() == pytest.approx(16)


def test_slow_steps_at_the_end_are_known_beforehand(clock):
    task = Task("train", 4, None, quiet=True, work=[1, 1, 4, 4])
    clock[0] += 2
    task.advance()
    assert task.seconds_left() == pytest.approx(18)


def test_steps_of_an_earlier_process_say_nothing_of_this_one(clock):
    task = Task("train", 10, None, quiet=True, done=8)
    clock[0] += 3
    task.advance()
    assert (task.done, task.seconds_left()) == (9, pytest.approx(3))


def test_a_terminal_shows_steps_time_left_and_the_note():
    out = io.StringIO()
    progress = Progress(Console(file=out, force_terminal=True, width=120))
    with progress.task("train", 4, done=1, work=[1, 1, 1, 1]) as task:
        task.advance(3, "loss 0.5")
    assert "train" in out.getvalue() and "4/4" in out.getvalue() and "0 s left loss 0.5" in out.getvalue()
