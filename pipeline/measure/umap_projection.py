"""UMAP to 2 dimensions, as a function and as a script that `pipeline.measure.umap_process` runs in a separate process.

It imports nothing from this project, so that such a process needs only installed packages. No other module uses umap.
This one uses some names that are not part of umap's public API, as of version 0.5.12:

`umap.layouts.optimize_layout_euclidean` lays out a graph from given positions, which `init` would rescale first.
`umap.umap_.make_epochs_per_sample` determines how often each edge is sampled.
`UMAP._a` and `UMAP._b` are the parameters of the curve used for the layout, fitted to the argument `min_dist`.
`umap.layouts` and `umap.umap_` contain the functions that numba compiles; `Dispatcher.py_func` belongs to numba.
"""

import os
import pickle
import sys
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

GENTLE_EPOCHS, GENTLE_RATE = 100, 0.3
"""For a start to be preserved: measured to be as faithful as UMAP's 200 epochs at rate 1, but groups drift less."""


def fit_umap(
    components_NP: NDArray[np.float32],
    start_N2: NDArray[np.float32] | None,
    *,
    neighbors: int,
    min_dist: float,
    seed: int,
) -> NDArray[np.float32]:
    """UMAP coordinates [N, 2], initialised from `start_N2` or the components."""
    keep_compiled()
    from umap import UMAP

    reducer = UMAP(
        n_neighbors=min(neighbors, len(components_NP) - 1),
        min_dist=min_dist,
        metric="cosine",
        init="pca",
        disconnection_distance=np.inf,  # otherwise a sample opposite to its neighbours gets no position
        random_state=seed,
        n_jobs=1,
        transform_mode="embedding" if start_N2 is None else "graph",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = reducer.fit(components_NP)
        position_N2 = fitted.embedding_ if start_N2 is None else _lay_out(fitted, start_N2, seed)
        return np.asarray(position_N2, dtype=np.float32)


def keep_compiled() -> None:
    """Let numba cache UMAP's functions as it does for other packages: compiling them takes 20 s per process."""
    from numba.core.dispatcher import Dispatcher
    from umap import layouts, umap_

    for module in (layouts, umap_):
        for function in vars(module).values():
            if isinstance(function, Dispatcher) and function.py_func.__module__.startswith("umap."):
                function.enable_caching()


def _lay_out(reducer: Any, start_N2: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """UMAP's layout of its graph, starting from the given positions.

    Passed as UMAP's `init`, they would first be rescaled to a square of 10 by 10, each axis independently.
    """
    from umap.layouts import optimize_layout_euclidean
    from umap.umap_ import make_epochs_per_sample

    graph = reducer.graph_.tocoo()
    strong = graph.data >= graph.data.max() / GENTLE_EPOCHS  # weaker edges would never be sampled
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
    """Unpickle the arguments of `fit_umap` from stdin and pickle its result to stdout."""
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)  # output printed by a package must not mix with the answer
        arguments, options = pickle.load(sys.stdin.buffer)
        pickle.dump(fit_umap(*arguments, **options), answer)


if __name__ == "__main__":
    _answer()
