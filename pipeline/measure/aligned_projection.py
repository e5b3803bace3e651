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
    here = pl.DataFrame({"sample_id": sample_id}).join(
        earlier.select("sample_id", "x", "y"), on="sample_id", how="left", maintain_order="left"
    )
    shared = here["x"].is_not_null().to_numpy()
    if shared.sum() < FEWEST_SHARED:
        return project(components_NP, settings)
    before = here.select("x", "y").to_numpy().astype(np.float32)
    start = _start(before, shared, components_NP)
    return align(project(components_NP, settings, start=start), before, shared)


def align(
    position_N2: NDArray[np.float32], before_N2: NDArray[np.float32], shared_N: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The map rotated, reflected, scaled and shifted to fit the earlier positions of the shared samples."""
    own, target = position_N2[shared_N].astype(np.float64), before_N2[shared_N].astype(np.float64)
    here, there = own.mean(0), target.mean(0)
    rotation, scale = orthogonal_procrustes(own - here, target - there)
    factor = scale / ((own - here) ** 2).sum()
    return np.asarray((position_N2 - here) @ rotation * factor + there, dtype=np.float32)


def _start(
    before_N2: NDArray[np.float32], shared_N: NDArray[np.bool_], components_NP: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Initial positions: the earlier position of a sample, or the mean over the nearest samples that have one."""
    start = before_N2.copy()
    unit = to_unit(components_NP)
    known = np.flatnonzero(shared_N)
    for row in np.flatnonzero(~shared_N):
        nearest = np.argpartition(-(unit[known] @ unit[row]), NEAREST_START)[:NEAREST_START]
        start[row] = before_N2[known[nearest]].mean(0)
    return start
