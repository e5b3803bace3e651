"""UMAP to 2 dimensions, as a function and as a file that `pipeline.measure.umap_process` runs in a process of its own.

It imports nothing of ours, so that such a process needs no more than installed packages. No other module uses umap,
and this one some names that umap does not promise to keep, as they are in 0.5.12:

`umap.layouts.optimize_layout_euclidean` lays out a graph from given places, which `init` would squeeze first.
`umap.umap_.make_epochs_per_sample` says how often that draws each edge.
`UMAP._a` and `UMAP._b` are the curve of the fit by which it draws them, as the argument `min_dist` has it.
`umap.layouts` and `umap.umap_` hold the functions that numba compiles; `Dispatcher.py_func` is numba's.
"""

import os
import pickle
import sys
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

GENTLE_EPOCHS, GENTLE_RATE = 100, 0.3
"""From a start that is to be kept: as faithful in measurements as UMAP's 200 epochs at 1, while groups drift less."""


def fit_umap(
    components_NP: NDArray[np.float32],
    start_N2: NDArray[np.float32] | None,
    *,
    neighbors: int,
    min_dist: float,
    seed: int,
) -> NDArray[np.float32]:
    """UMAP coordinates [N, 2], started from `start_N2` or the components."""
    keep_compiled()
    from umap import UMAP

    reducer = UMAP(
        n_neighbors=min(neighbors, len(components_NP) - 1),
        min_dist=min_dist,
        metric="cosine",
        init="pca",
        disconnection_distance=np.inf,  # else a sample opposite to its neighbours has no place
        random_state=seed,
        n_jobs=1,
        transform_mode="embedding" if start_N2 is None else "graph",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = reducer.fit(components_NP)
        found = fitted.embedding_ if start_N2 is None else _lay_out(fitted, start_N2, seed)
        return np.asarray(found, dtype=np.float32)


def keep_compiled() -> None:
    """Let numba keep UMAP's functions where it keeps those of other packages: compiling them takes a process 20 s."""
    from numba.core.dispatcher import Dispatcher
    from umap import layouts, umap_

    for module in (layouts, umap_):
        for function in vars(module).values():
            if isinstance(function, Dispatcher) and function.py_func.__module__.startswith("umap."):
                function.enable_caching()


def _lay_out(reducer: Any, start_N2: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """UMAP's layout of its graph, begun where the samples lie.

    As UMAP's `init` they would be squeezed into a square of 10 by 10 first, each axis by itself.
    """
    from umap.layouts import optimize_layout_euclidean
    from umap.umap_ import make_epochs_per_sample

    graph = reducer.graph_.tocoo()
    strong = graph.data >= graph.data.max() / GENTLE_EPOCHS  # weaker ones would not be drawn once
    position = np.array(start_N2, np.float32, order="C")
    laid_out: NDArray[np.float32] = optimize_layout_euclidean(
        position,
        position,
        graph.row[strong],
        graph.col[strong],
        GENTLE_EPOCHS,
        len(position),
        make_epochs_per_sample(graph.data[strong], GENTLE_EPOCHS),
        reducer._a,
        reducer._b,
        np.random.default_rng(seed).integers(-(2**31) + 1, 2**31 - 1, 3),
        initial_alpha=GENTLE_RATE,
        move_other=True,
    )
    return laid_out


def _answer() -> None:
    """Unpickle the arguments of `fit_umap` from stdin and pickle what it returns to stdout."""
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)  # what a package prints is no part of the answer
        arguments, options = pickle.load(sys.stdin.buffer)
        pickle.dump(fit_umap(*arguments, **options), answer)


if __name__ == "__main__":
    _answer()
