"""Log lines on stderr, either human-readable or one JSON object per line."""

import os
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from structlog.typing import Processor

from lake.errors import Unprinted

UNWRITABLE = (OSError, ValueError)
"""Exceptions raised by writing to a stream: its file or reader is gone, it is closed, or it cannot encode the text."""


def unfailing(stream: TextIO) -> TextIO:
    """Wrap a stream so that text which cannot be written is silently dropped.

    A full disk under a log file, or a closed terminal or pipe, must not lose hours of work.
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
    """Wrap a stream so that it raises `Unprinted` once when text cannot be written; later text is dropped."""
    return cast(TextIO, _UnprintedOnce(stream))


class _UnprintedOnce(_Unfailing):
    def write(self, text: str) -> int:
        try:
            return self._stream.write(text) if text != "" else 0  # click probes a stream by writing an empty string
        except OSError as error:
            raise self._give_up(error) from None

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise self._give_up(error) from None

    def _give_up(self, error: OSError) -> Unprinted:
        """Redirect the stream to the null device; otherwise Python fails to flush its buffers at exit and complains."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        return Unprinted(error.strerror or str(error), reader_left=isinstance(error, BrokenPipeError))


def say(text: str) -> None:
    """Log one line."""
    structlog.get_logger().info(text)


def configure(form: str) -> None:
    """Configure the log as `text` or `json`, once a command knows its settings."""
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
