"""Progress reports: a rich bar on a terminal, otherwise a plain line every few seconds.

Reporting never stops the work: a count that does not add up is shown as it is, and lines that cannot be written (full
disk, closed pipe) are lost. Only `--max-hours` stops work here.
"""

import io
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from lake.errors import RetryLater
from pipeline.engine.log_setup import UNWRITABLE, unfailing

SECONDS_BETWEEN_LINES = 5.0


class Task:
    """One bar; `advance(n, note)` moves it.

    `work` is the relative cost of each step (uniform if None), `done` the number of steps done by an earlier process.
    `check` is called at every step and may raise to stop the work.
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
        """Report `count` more finished steps. Raises only what `check` raises."""
        self._check()
        self.done += count
        if self._bar is not None and self._bar_id is not None:
            time_left = f"{self._time_left()} left" if self._time_left() else ""
            self._bar.update(self._bar_id, completed=self.done, left=time_left, note=note)
            return
        now = time.monotonic()
        if not self._quiet and now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            _log(self.name, done=self.done, total=self.total, left=self._time_left(), note=note)

    def seconds_left(self) -> float | None:
        """Estimated seconds until the last step, from the speed of this process; None before it has finished a step."""
        work_before, last = self._work_before, len(self._work_before) - 1
        done = min(self.done, last)
        spent, work_left = (
            work_before[done] - work_before[min(self._first, last)],
            work_before[last] - work_before[done],
        )
        return (time.monotonic() - self._started) * work_left / spent if spent > 0 else None

    def _time_left(self) -> str:
        seconds = self.seconds_left()
        return "" if seconds is None else f"{seconds:.0f} s"


class Progress:
    """Sink for progress reports, with bars on a terminal. `quiet` suppresses all output; `hours` limits the refresh."""

    def __init__(
        self,
        console: Console | None = None,
        *,
        quiet: bool = False,
        hours: float | None = None,
        bars: bool = True,
    ) -> None:
        stderr = unfailing(sys.stderr or io.StringIO())
        self._console = console or Console(file=stderr, force_terminal=None if bars else False)
        self._quiet, self._hours, self._started = quiet, hours, time.monotonic()

    def check_time(self) -> None:
        """Raises `RetryLater` once the time limit `hours` has passed; finished work is kept."""
        if self._hours is not None and time.monotonic() - self._started > self._hours * 3600:
            raise RetryLater(
                f"Stopped after {self._hours:g} hours (--max-hours): finished stages and the training so far are kept, "
                "and the next refresh continues from there."
            )

    def say(self, text: str) -> None:
        """Report one line verbatim: names of files and classes may look like markup."""
        if self._quiet:
            return
        if self._console.is_terminal:
            self._console.print(Text(text))
        else:
            _log(text)

    @contextmanager
    def task(self, name: str, total: int, *, done: int = 0, work: Sequence[float] | None = None) -> Iterator[Task]:
        """A bar over `total` steps; see `Task` for `done` and `work`."""
        if self._quiet or not self._console.is_terminal:
            yield Task(name, total, None, quiet=self._quiet, done=done, work=work, check=self.check_time)
            return
        texts = [TextColumn(f"{{task.fields[{field}]}}", markup=False) for field in ("left", "note")]
        columns = (TextColumn("{task.description:>12}", markup=False), BarColumn(), MofNCompleteColumn(), *texts)
        with RichProgress(*columns, console=self._console) as bar:
            yield Task(name, total, bar, quiet=False, done=done, work=work, check=self.check_time)


def _log(event: str, **values: object) -> None:
    fields = {name: value for name, value in values.items() if value != ""}
    with suppress(*UNWRITABLE):
        structlog.get_logger().info(event, **fields)
