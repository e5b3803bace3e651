"""The map: PCA to 50 dimensions, then UMAP to 2, in a fresh process so that a seed gives the same picture.

McInnes, Healy, Melville, "UMAP", 2018 (umap-learn). Distances between far groups on such a map mean nothing.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from pipeline.map_process import fit_in_process
from pipeline.settings import Settings


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
    options = {"neighbors": settings.umap_neighbors, "min_dist": settings.umap_min_dist, "seed": settings.seed}
    return fit_in_process(components_NP, start, **options)
