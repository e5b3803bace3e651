"""Log lines on stderr: for people, or one JSON object a line with `LATENTLAKE_LOG=json`."""

import os
import sys

import structlog

VARIABLE = "LATENTLAKE_LOG"


def configure() -> None:
    """Set up the log once a command knows its settings."""
    form = structlog.processors.JSONRenderer() if as_json() else structlog.dev.ConsoleRenderer()
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, form],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def as_json() -> bool:
    """Whether lines are for a machine."""
    return os.environ.get(VARIABLE) == "json"
