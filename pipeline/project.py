"""The map: PCA to 50 dimensions, then UMAP to 2, in a fresh process so that a seed gives the same picture.

McInnes, Healy, Melville, "UMAP", 2018 (umap-learn). Distances between far groups on such a map mean nothing.
"""

import multiprocessing
import warnings
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from pipeline.settings import Settings

GENTLE_EPOCHS, GENTLE_RATE = 100, 0.3
"""From a start that is to be kept: as faithful in measurements as UMAP's 200 epochs at 1, while groups drift less."""


def reduce_dimensions(embedding_ND: NDArray[np.float32], settings: Settings) -> NDArray[np.float32]:
    """Principal components [N, pca_dims] of the L2-normalised embeddings."""
    unit = embedding_ND / np.linalg.norm(embedding_ND, axis=1, keepdims=True).clip(1e-12)
    dims = min(settings.pca_dims, *unit.shape)
    components = PCA(dims, svd_solver="randomized", random_state=settings.seed).fit_transform(unit)
    return np.asarray(components, dtype=np.float32)


def first_two(components_NP: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first two principal components [N, 2], 0 where there is but one."""
    return np.pad(components_NP[:, :2], ((0, 0), (0, max(0, 2 - components_NP.shape[1]))))


def project(
    components_NP: NDArray[np.float32], settings: Settings, *, start: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """UMAP coordinates [N, 2], started from `start` or the components; equal input and seed give equal bytes."""
    with _fit_process() as pool:
        return pool.submit(_fit_umap, components_NP, settings, start).result()


def _fit_process() -> AbstractContextManager[Executor]:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _fit_umap(
    components_NP: NDArray[np.float32], settings: Settings, start: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    _keep_compiled()
    from umap import UMAP

    reducer = UMAP(
        n_neighbors=min(settings.umap_neighbors, len(components_NP) - 1),
        min_dist=settings.umap_min_dist,
        metric="cosine",
        init="pca",
        random_state=settings.seed,
        n_jobs=1,
        transform_mode="embedding" if start is None else "graph",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = reducer.fit(components_NP)
        found = fitted.embedding_ if start is None else _lay_out(fitted, start, settings.seed)
        return np.asarray(found, dtype=np.float32)


def _keep_compiled() -> None:
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
