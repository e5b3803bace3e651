"""Fit UMAP maps for tests in a single process per worker, one map at a time."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from pipeline.measure.umap_projection import fit_umap

Fit = Callable[..., NDArray[np.float32]]


@contextmanager
def one_process(lock: Path, *, compiles: bool) -> Iterator[Fit]:
    """Yield `fit_in_process` bound to a process that is kept, as importing the packages for a fit takes seconds.

    In a new environment, the first fit compiles for half a minute: with `compiles`, compilation starts at once, and all
    holders of the same `lock` wait for it.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(int).result()  # a new process runs `__main__` again, which is a page once a test has opened one
        if compiles:
            pool.submit(_fit_alone, lock, np.eye(50, dtype=np.float32), None, neighbors=5, min_dist=0.1, seed=0)
        yield lambda *a, **b: pool.submit(_fit_alone, lock, *a, **b).result()


def _fit_alone(lock: Path, *arguments: Any, **options: Any) -> NDArray[np.float32]:
    with FileLock(lock):
        return fit_umap(*arguments, **options)
