"""Metrics of the app for `/metrics`: durations of lake reads and page runs, and errors.

A registry of its own avoids collisions if this module is imported twice.
"""

import uuid

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.context_managers import Timer

from pages.ui.internals.streamlit_internals import get_logger

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
QUERIES = Histogram(
    "latentlake_query_seconds",
    "Reads of the lake by table or question; what a cache answers is not counted.",
    ["question"],
    buckets=SECONDS,
    registry=REGISTRY,
)
PAGES = Histogram("latentlake_page_seconds", "Runs of a page.", ["page"], buckets=SECONDS, registry=REGISTRY)
ERRORS = Counter("latentlake_errors", "Errors by kind.", ["kind"], registry=REGISTRY)


def query(question: str) -> Timer:
    """Measure a read of the lake; a context manager or decorator."""
    return QUERIES.labels(question=question).time()


def page_run(name: str) -> Timer:
    """Measure a run of a page, whether it ends, is stopped or fails."""
    return PAGES.labels(page=name).time()


def log_unforeseen(error: Exception) -> str:
    """Log the traceback of an unexpected error; return the reference of the log entry."""
    reference = uuid.uuid4().hex[:8]
    get_logger("latentlake").error("Unforeseen error %s", reference, exc_info=error)
    return reference


def count_error(error: Exception) -> None:
    """Count an error under the name of its class."""
    ERRORS.labels(kind=type(error).__name__).inc()
