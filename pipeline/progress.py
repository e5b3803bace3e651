"""Progress for people: a rich bar on a terminal, one plain line every few seconds otherwise."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

SECONDS_BETWEEN_LINES = 5.0


class Task:
    """One bar: `advance(n, note)` moves it."""

    def __init__(self, name: str, total: int, bar: RichProgress | None, *, quiet: bool) -> None:
        self.name, self.total, self.done = name, total, 0
        self._quiet = quiet
        self._bar = bar
        self._bar_id = bar.add_task(name, total=total, note="") if bar else None
        self._started = self._last = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        if self._bar is not None and self._bar_id is not None:
            self._bar.update(self._bar_id, advance=count, note=note)
            return
        now = time.monotonic()
        if not self._quiet and now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            left = (now - self._started) / self.done * (self.total - self.done)
            structlog.get_logger().info(self.name, done=self.done, total=self.total, left=f"{left:.0f} s", note=note)


class Progress:
    """Where stages report; `quiet` is for tests and library use."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self._console = console or Console(stderr=True)
        self._quiet = quiet

    def say(self, text: str) -> None:
        """One line about what happens now."""
        if self._quiet:
            return
        if self._console.is_terminal:
            self._console.print(text, highlight=False)
        else:
            structlog.get_logger().info(text)

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        """A bar over `total` steps."""
        if self._quiet or not self._console.is_terminal:
            yield Task(name, total, None, quiet=self._quiet)
            return
        columns = (TextColumn("{task.description:>12}"), BarColumn(), MofNCompleteColumn())
        with RichProgress(
            *columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=self._console
        ) as bar:
            yield Task(name, total, bar, quiet=False)
