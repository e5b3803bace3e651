"""Run UMAP in a fresh process, which imports only installed packages and nothing from the caller.

Python's `multiprocessing` would import the caller's script again, and run it if it has no `__main__` guard.
"""

import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lake.errors import UserError
from pipeline.measure import umap_projection

RUN = "import runpy, sys; sys.path += sys.argv[2:]; runpy.run_path(sys.argv[1], run_name='__main__')"
"""Appends the caller's path, so that packages only found there can be imported but none of them hides another."""


def fit_in_process(
    components_NP: NDArray[np.float32], start_N2: NDArray[np.float32] | None, **options: Any
) -> NDArray[np.float32]:
    """The result of `fit_umap`, computed in a separate process.

    Raises `UserError` if that process runs out of memory or is killed.
    """
    with _running([sys.executable, "-P", "-c", RUN, umap_projection.__file__, *_places()]) as process:
        answer, stderr = process.communicate(pickle.dumps(((components_NP, start_N2), options)))
    _check(process.returncode, stderr.decode(errors="replace").strip())
    position_N2: NDArray[np.float32] = pickle.loads(answer)
    return position_N2


def _places() -> list[str]:
    return [str(Path(place).absolute()) for place in sys.path if place]


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process shielded from Ctrl+C: the waiting parent receives it and ends the process, however early it comes."""
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    pipe = subprocess.PIPE
    try:
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)
                yield process
            finally:
                process.kill()
                process.wait()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)


def _check(code: int, stderr: str) -> None:
    ended = code < 0 or "MemoryError" in stderr.rpartition("\n")[2].partition(":")[0]
    if ended:
        by = f" ({signal.Signals(-code).name})" if code < 0 else ""
        raise UserError(
            f"The process that fits the map was killed{by}, most likely because memory ran out: free some memory or "
            "use fewer samples, then refresh again. Finished stages are kept."
        )
    if code:
        raise RuntimeError(f"The process that fits the map failed:\n{stderr}")
