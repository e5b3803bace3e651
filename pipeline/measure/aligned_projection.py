"""Project samples so that the map of a new model stays aligned with the earlier map.

UMAP preserves positions only if it is initialised with them. The result is then rotated, reflected, scaled and shifted
onto the earlier map by orthogonal Procrustes analysis (Schoenemann 1966; scipy).
Shapes: N samples, M shared samples, P principal components.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes

from lake.search.vectors import to_unit
from pipeline.measure.principal_components import project
from pipeline.settings import Settings

FEWEST_SHARED = 10
NEAREST_START = 5


def project_like(
    components_NP: NDArray[np.float32], sample_id: NDArray[np.int64], settings: Settings, earlier: pl.DataFrame | None
) -> NDArray[np.float32]:
    """UMAP coordinates [N, 2], aligned with an earlier map (sample_id, x, y) if enough samples are in both."""
    if earlier is None:
        return project(components_NP, settings)
    joined = pl.DataFrame({"sample_id": sample_id}).join(
        earlier.select("sample_id", "x", "y"), on="sample_id", how="left", maintain_order="left"
    )
    shared = joined["x"].is_not_null().to_numpy()
    if shared.sum() < FEWEST_SHARED:
        return project(components_NP, settings)
    earlier_N2 = joined.select("x", "y").to_numpy().astype(np.float32)
    start = _start(earlier_N2, shared, components_NP)
    return align(project(components_NP, settings, start=start), earlier_N2, shared)


def align(
    position_N2: NDArray[np.float32], earlier_N2: NDArray[np.float32], shared_N: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The map rotated, reflected, scaled and shifted to fit the earlier positions of the shared samples."""
    own, target = position_N2[shared_N].astype(np.float64), earlier_N2[shared_N].astype(np.float64)
    own_mean, target_mean = own.mean(0), target.mean(0)
    rotation, scale = orthogonal_procrustes(own - own_mean, target - target_mean)
    factor = scale / ((own - own_mean) ** 2).sum()
    return np.asarray((position_N2 - own_mean) @ rotation * factor + target_mean, dtype=np.float32)


def _start(
    earlier_N2: NDArray[np.float32], shared_N: NDArray[np.bool_], components_NP: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Initial positions: the earlier position of a sample, or the mean over the nearest samples that have one."""
    start = earlier_N2.copy()
    unit = to_unit(components_NP)
    shared_rows = np.flatnonzero(shared_N)
    for row in np.flatnonzero(~shared_N):
        nearest = np.argpartition(-(unit[shared_rows] @ unit[row]), NEAREST_START)[:NEAREST_START]
        start[row] = earlier_N2[shared_rows[nearest]].mean(0)
    return start
