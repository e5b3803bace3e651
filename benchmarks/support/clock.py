"""Measure the duration of a call."""

import time
from collections.abc import Callable


def seconds_of(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
