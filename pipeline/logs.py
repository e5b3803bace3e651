"""Log lines on stderr: for people, or one JSON object a line."""

import sys

import structlog


def configure(form: str) -> None:
    """Set up the log as `text` or `json`, once a command knows its settings."""
    write = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer()
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, write],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
