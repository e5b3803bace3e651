"""Log lines on stderr: for people, or one JSON object a line."""

import os
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from structlog.typing import Processor

from lake.errors import Unprinted

UNWRITABLE = (OSError, ValueError)
"""What writing to a stream raises: its file or reader is gone, or it is closed or cannot encode the text."""


def unfailing(stream: TextIO) -> TextIO:
    """The stream, but that text which cannot be written to it is lost.

    A full disk under a log, or a terminal or pipe that was closed, is no reason to lose the work of hours.
    """
    return cast(TextIO, _Unfailing(stream))


class _Unfailing:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(*UNWRITABLE):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(*UNWRITABLE):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def unprinted_once(stream: TextIO) -> TextIO:
    """The stream, but that it raises `Unprinted` once where text cannot be written; what follows is lost."""
    return cast(TextIO, _UnprintedOnce(stream))


class _UnprintedOnce(_Unfailing):
    def write(self, text: str) -> int:
        try:
            return self._stream.write(text) if text != "" else 0  # click asks a stream what it is by writing nothing
        except OSError as error:
            raise self._give_up(error) from None

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise self._give_up(error) from None

    def _give_up(self, error: OSError) -> Unprinted:
        """Let what is left in the buffers go nowhere, or Python complains at its end that it cannot be written."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        return Unprinted(error.strerror or str(error), reader_left=isinstance(error, BrokenPipeError))


def say(text: str) -> None:
    """One line of the log."""
    structlog.get_logger().info(text)


def configure(form: str) -> None:
    """Set up the log as `text` or `json`, once a command knows its settings."""
    last: tuple[Processor, Processor] = (
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
    )
    if form == "json":
        last = (structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer())
    structlog.configure(
        processors=[structlog.processors.add_log_level, *last],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
