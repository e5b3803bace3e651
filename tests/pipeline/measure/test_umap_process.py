"""The process that fits the map: one that is ended is one sentence, and Ctrl+C ends it without a word of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from lake.errors import UserError
from pipeline.measure.umap_process import _check, fit_in_process
from tests.support.paths import REPOSITORY

STOPPED = """
import numpy as np
from pipeline.measure.umap_process import fit_in_process
try:
    fit_in_process(np.ones((100_000, 50), np.float32), None, neighbors=5, min_dist=0.1, seed=0)  # takes minutes
except KeyboardInterrupt:
    print("stopped")
"""


def wait_for_child(process: psutil.Process, alive: Callable[[], bool]) -> psutil.Process:
    """The process that fits a map for this one."""
    while alive():
        for child in process.children():
            if any(part.endswith("umap_projection.py") for part in child.cmdline()):
                return child
        time.sleep(0.01)
    raise AssertionError("there was none")


def test_one_that_is_ended_from_outside_is_one_sentence() -> None:
    with ThreadPoolExecutor(1) as threads:
        fitting = threads.submit(fit_in_process, np.eye(50, dtype=np.float32), None, neighbors=5, min_dist=0.1, seed=0)
        wait_for_child(psutil.Process(), lambda: not fitting.done()).kill()
        with pytest.raises(
            UserError, match=r"map was killed \(SIGKILL\), most likely because memory ran out: free some"
        ):
            fitting.result()


def test_an_interrupt_from_the_keyboard_ends_it_silently() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    child = wait_for_child(psutil.Process(process.pid), lambda: process.poll() is None)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate() == ("stopped\n", "")
    child.wait()


def test_one_that_has_no_memory_says_so_and_a_fault_is_shown() -> None:
    with pytest.raises(UserError, match="memory ran out"):
        _check(1, "Traceback\nnumpy._core._exceptions._ArrayMemoryError: Unable to allocate 8 GiB")
    with pytest.raises(RuntimeError, match=r"failed:\nTraceback\nValueError: MemoryError is no number\.$"):
        _check(1, "Traceback\nValueError: MemoryError is no number.")
