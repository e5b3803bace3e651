"""Compute the map: PCA to 50 dimensions, then UMAP to 2, in a fresh process so that a seed reproduces the map.

McInnes, Healy, Melville, "UMAP", 2018 (umap-learn). Distances between distant groups on such a map are not meaningful.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from lake.search.vectors import to_unit
from pipeline.measure.umap_process import fit_in_process
from pipeline.settings import Settings

ROUNDED = 1e-6
"""Unit-length vectors that differ by less than this in float32 are equal up to rounding."""


def reduce_dimensions(embedding_ND: NDArray[np.float32], settings: Settings) -> NDArray[np.float32]:
    """Principal components [N, pca_dims] of the L2-normalised embeddings; zeros if these are all equal."""
    unit = to_unit(embedding_ND)
    dims = min(settings.pca_dims, *unit.shape)
    if np.ptp(unit, axis=0).max() < ROUNDED:
        return np.zeros((len(unit), dims), np.float32)
    components = PCA(dims, svd_solver="randomized", random_state=settings.seed).fit_transform(unit)
    return np.asarray(components, dtype=np.float32)


def first_two(components_NP: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first two principal components [N, 2]; the second is 0 if there is only one."""
    return _at_least_two(components_NP[:, :2])


def _at_least_two(components_NP: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.pad(components_NP, ((0, 0), (0, max(0, 2 - components_NP.shape[1]))))


def project(
    components_NP: NDArray[np.float32], settings: Settings, *, start: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """UMAP coordinates [N, 2], initialised from `start` or the components; the same input and seed give the same bytes.

    If all samples have the same components, they all have the same coordinates.
    """
    if not np.ptp(components_NP, axis=0).any():
        return np.zeros((len(components_NP), 2), np.float32)
    options = {"neighbors": settings.umap_neighbors, "min_dist": settings.umap_min_dist, "seed": settings.seed}
    return fit_in_process(_at_least_two(components_NP), start, **options)
