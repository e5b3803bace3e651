"""The map: PCA to 50 dimensions, then UMAP to 2, in a fresh process so that a seed gives the same picture.

McInnes, Healy, Melville, "UMAP", 2018 (umap-learn). Distances between far groups on such a map mean nothing.
"""

import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from pipeline.settings import Settings

KEPT_NEIGHBORS = 15


def reduce_dimensions(embedding_ND: NDArray[np.float32], settings: Settings) -> NDArray[np.float32]:
    """Principal components [N, pca_dims] of the L2-normalised embeddings."""
    unit = embedding_ND / np.linalg.norm(embedding_ND, axis=1, keepdims=True).clip(1e-12)
    dims = min(settings.pca_dims, *unit.shape)
    components = PCA(dims, svd_solver="randomized", random_state=settings.seed).fit_transform(unit)
    return np.asarray(components, dtype=np.float32)


def project(components_NP: NDArray[np.float32], settings: Settings) -> NDArray[np.float32]:
    """UMAP coordinates [N, 2]; equal input and seed give equal bytes."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_fit_umap, components_NP, settings).result()


def share_of_neighbors_kept(map_N2: NDArray[np.float32], nearest_NR: NDArray[np.int64]) -> NDArray[np.float64]:
    """Per sample the share [N] of its 15 nearest in embedding space that are among its 15 nearest on the map."""
    count = min(KEPT_NEIGHBORS, nearest_NR.shape[1])
    on_map = NearestNeighbors(n_neighbors=count).fit(map_N2).kneighbors(return_distance=False)
    kept = (nearest_NR[:, :count, None] == on_map[:, None, :]).any(2)
    return np.asarray(kept.mean(1))


def _fit_umap(components_NP: NDArray[np.float32], settings: Settings) -> NDArray[np.float32]:
    from umap import UMAP

    reducer = UMAP(
        n_neighbors=min(settings.umap_neighbors, len(components_NP) - 1),
        min_dist=settings.umap_min_dist,
        metric="cosine",
        init="pca",
        random_state=settings.seed,
        n_jobs=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(reducer.fit_transform(components_NP), dtype=np.float32)
