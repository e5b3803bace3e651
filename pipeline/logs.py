"""Log lines on stderr: for people, or one JSON object a line."""

import sys

import structlog
from structlog.typing import Processor


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
