"""Group similar loss maps into families, whatever their magnitude, by spherical k-means (Dhillon & Modha 2001).

Only maps of labelled held-out samples that are above the floor, at the finest layer.
"""

import warnings

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from lake.contracts.tables import make_frame
from lake.query.joined_samples import Tables, scan_samples
from lake.query.loss_maps import FLOOR_NATS, MAPPED, Maps, map_layers, scan_maps
from lake.search.vectors import to_unit

FAMILIES = 8
MEMBERS_EACH = 10


def find_families(run: Tables, *, seed: int) -> pl.DataFrame:
    """The table `map_families` without the column run_id, for the labelled held-out samples of a run."""
    layers = map_layers(run)
    if not layers:
        return make_frame("map_families", [])
    samples = scan_samples(run).filter(MAPPED).select("sample_id", "correct").collect()
    maps = Maps.of(scan_maps(run, layers[0]).collect()).of_samples(samples["sample_id"].to_numpy())
    return sort_into_families(maps, samples.filter(~pl.col("correct"))["sample_id"].to_numpy(), seed=seed)


def sort_into_families(maps: Maps, wrong: NDArray[np.int64], *, seed: int) -> pl.DataFrame:
    """The family of each map above the floor; empty if there are fewer than ten such maps per family.

    `wrong` contains the ids of the misclassified samples: family 0 is the one with the largest share of them.
    """
    loud = maps.max_abs >= FLOOR_NATS
    if loud.sum() < FAMILIES * MEMBERS_EACH:
        return make_frame("map_families", [])
    sample_id, flat = maps.sample_id[loud], maps.values_NHW[loud].reshape(int(loud.sum()), -1)
    points = to_unit(flat)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct maps than families
        kmeans = KMeans(FAMILIES, n_init=4, random_state=seed).fit(points)
    nonempty, family = np.unique(kmeans.labels_, return_inverse=True)
    centres = to_unit(kmeans.cluster_centers_[nonempty])
    errors = np.bincount(family, np.isin(sample_id, wrong)) / np.bincount(family)
    rank = np.argsort(np.argsort(-errors, kind="stable"))
    return pl.DataFrame(
        {
            "sample_id": sample_id,
            "family": rank[family].astype(np.int64),
            "similarity": (points * centres[family]).sum(1).astype(np.float64),
        }
    )
