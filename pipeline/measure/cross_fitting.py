"""Out-of-sample measurements of training samples, each by a model trained without that sample.

The feature axes of different models are not comparable. A rotation maps the features of each model onto those of the
main model: orthogonal Procrustes (Schönemann 1966, scipy) on samples that neither model was trained on.
Shapes: N samples, D features.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes

from lake.search.vectors import to_unit


def assign_folds(label_N: NDArray[np.int64], folds: int, *, seed: int) -> NDArray[np.int64]:
    """The fold of each training sample, from 1 to `folds`, stratified by class; 0 for all samples if `folds` is 0.

    If a class has fewer samples than there are folds, each of its samples is in a different fold.
    """
    fold = np.zeros(len(label_N), dtype=np.int64)
    if folds:
        shuffled = np.random.default_rng(seed).permutation(len(label_N))
        fold[shuffled[np.argsort(label_N[shuffled], kind="stable")]] = np.arange(len(label_N)) % folds + 1
    return fold


def fit_rotation(source_ND: NDArray[np.float32], target_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rotation [D, D] that brings `source_ND @ rotation` closest to `target_ND`, row by row."""
    rotation, _ = orthogonal_procrustes(source_ND, target_ND)
    return np.asarray(rotation, dtype=np.float32)


def alignment(source_ND: NDArray[np.float32], target_ND: NDArray[np.float32]) -> float:
    """Mean cosine of rotated and target features on one random half, with the rotation fitted on the other half."""
    fitted, checked = np.array_split(np.random.default_rng(0).permutation(len(source_ND)), 2)
    rotated = source_ND[checked] @ fit_rotation(source_ND[fitted], target_ND[fitted])
    return float((to_unit(rotated) * to_unit(target_ND[checked])).sum(1).mean())
