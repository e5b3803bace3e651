"""Progress for people: a rich bar on a terminal, one plain line every few seconds otherwise."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as RichProgress

from lake.errors import RetryLater

SECONDS_BETWEEN_LINES = 5.0


class Task:
    """One bar: `advance(n, note)` moves it.

    `work` says how long each step takes compared with the others (all the same when None); `done` steps were
    taken by an earlier process; `check` is called at every step and may stop it.
    """

    def __init__(
        self,
        name: str,
        total: int,
        bar: RichProgress | None,
        *,
        quiet: bool,
        done: int = 0,
        work: Sequence[float] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._check = check
        self.name, self.total, self.done = name, total, done
        self._quiet, self._bar, self._first = quiet, bar, done
        self._work_before = list(itertools.accumulate(work, initial=0.0)) if work is not None else range(total + 1)
        self._bar_id = bar.add_task(name, total=total, completed=done, left="", note="") if bar else None
        self._started = self._last = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self._check()
        self.done += count
        if self._bar is not None and self._bar_id is not None:
            self._bar.update(self._bar_id, completed=self.done, left=f"{self.seconds_left():.0f} s left", note=note)
            return
        now = time.monotonic()
        if not self._quiet and now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            left = f"{self.seconds_left():.0f} s"
            structlog.get_logger().info(self.name, done=self.done, total=self.total, left=left, note=note)

    def seconds_left(self) -> float:
        """Until the last step, if the work that is left goes on as that of this process did."""
        before = self._work_before
        spent, left = before[self.done] - before[self._first], before[self.total] - before[self.done]
        return (time.monotonic() - self._started) * left / spent


class Progress:
    """Where stages report, with bars on a terminal; `quiet` says nothing, `hours` is how long a refresh may take."""

    def __init__(
        self,
        console: Console | None = None,
        *,
        quiet: bool = False,
        hours: float | None = None,
        bars: bool = True,
    ) -> None:
        self._console = console or Console(stderr=True, force_terminal=None if bars else False)
        self._quiet, self._hours, self._started = quiet, hours, time.monotonic()

    def check_time(self) -> None:
        """Raises `RetryLater` once the hours given are over; what is finished is kept."""
        if self._hours is not None and time.monotonic() - self._started > self._hours * 3600:
            raise RetryLater(
                f"Stopped after {self._hours:g} hours (--max-hours): finished stages and the training so far are kept, "
                "the next refresh goes on from there."
            )

    def say(self, text: str) -> None:
        """One line about what happens now."""
        if self._quiet:
            return
        if self._console.is_terminal:
            self._console.print(text, highlight=False)
        else:
            structlog.get_logger().info(text)

    @contextmanager
    def task(self, name: str, total: int, *, done: int = 0, work: Sequence[float] | None = None) -> Iterator[Task]:
        """A bar over `total` steps; `done` and `work` as `Task` has them."""
        if self._quiet or not self._console.is_terminal:
            yield Task(name, total, None, quiet=self._quiet, done=done, work=work, check=self.check_time)
            return
        texts = [TextColumn(f"{{task.fields[{field}]}}") for field in ("left", "note")]
        columns = (TextColumn("{task.description:>12}"), BarColumn(), MofNCompleteColumn(), *texts)
        with RichProgress(*columns, console=self._console) as bar:
            yield Task(name, total, bar, quiet=False, done=done, work=work, check=self.check_time)
