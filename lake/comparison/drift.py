"""Drift between two sets of samples: in each measured property, and in the joint distribution of a feature space.

A property has drifted if a Mann-Whitney test is significant after Benjamini-Hochberg correction over all tests and
Cliff's delta is at least 0.147, below which a difference is called negligible (Romano et al. 2006). A whole space
(properties or embeddings) is tested by a permutation test of the energy distance (Székely & Rizzo 2013), on at most a
thousand samples per side. Shapes: N samples, D features.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.comparison.differences import HUES, PROPERTY_WORDING, Difference, Mask, measure, to_clause
from lake.contracts.rows import rows_of
from lake.contracts.samples import SPLITS
from lake.query.joined_samples import Tables
from lake.search.vectors import to_unit
from lake.statistics import Z95, benjamini_hochberg
from lake.storage.store import Run
from lake.text.formatting import between, p_value

FALSE_DISCOVERY_RATE = 0.05
NEGLIGIBLE = 0.147
PERMUTATIONS, AT_MOST, AT_LEAST = 999, 1000, 20
NOTHING_TESTED = "No property was tested for drift."
RULE = " (adjusted p < 0.05 and a Cliff's delta of 0.147 or more)"
PROPERTIES, EMBEDDINGS = "image properties", "embeddings"
Points = NDArray[np.floating]


class _Tested(TypedDict):
    """The columns common to the tables of `Drift`: the sets compared and the adjusted p."""

    set: str
    others: str
    n: int
    n_others: int
    adjusted_p: float


class PropertyDrift(_Tested):
    """A row of `Drift.properties`."""

    property: str
    here: float
    there: float
    delta: float
    low: float
    high: float


class SpaceDrift(_Tested):
    """A row of `Drift.spaces`."""

    space: str
    value: float
    chance: float


@dataclass(frozen=True)
class Drift:
    """The drift tests: each property and each whole space of each set, against the samples named in `others`."""

    properties: pl.DataFrame
    """Columns: set, others, n, n_others, property, here, there, delta, low, high, p, adjusted_p; hues as shares."""
    spaces: pl.DataFrame
    """Columns: set, others, space, n, n_others, value (0 same, 1 apart), chance (95 % quantile), p, adjusted_p."""

    def drifted(self) -> pl.DataFrame:
        """Return the properties that have drifted, largest effect first."""
        significant = self.properties.filter(
            pl.col("adjusted_p") < FALSE_DISCOVERY_RATE, pl.col("delta").abs() >= NEGLIGIBLE
        )
        return significant.sort(pl.col("delta").abs(), "set", "property", descending=[True, False, False])

    def shifted(self) -> pl.DataFrame:
        """Return the spaces that have drifted, largest distance first."""
        return self.spaces.filter(pl.col("adjusted_p") < FALSE_DISCOVERY_RATE).sort("value", descending=True)

    def sentences(self) -> list[str]:
        """Return how many property tests find drift, a sentence for each, and the same for whole spaces."""
        drifted, shifted = self.drifted(), self.shifted()
        if self.properties.is_empty():
            lines = [NOTHING_TESTED]
        else:
            lines = [f"{len(drifted)} of {len(self.properties)} tests of a property find drift{RULE}."]
        lines += [_say_property(row) for row in rows_of(drifted, PropertyDrift)]
        if len(self.spaces):
            smallest = p_value(float(self.spaces["adjusted_p"].to_numpy().min()))
            spaces = " and ".join(sorted(set(self.spaces["space"])))
            lines.append(
                f"{len(shifted)} of {len(self.spaces)} tests of {spaces} as a whole find drift (energy distance, "
                f"permutation test, smallest adjusted {smallest})."
            )
        return [*lines, *(_say_space(row) for row in rows_of(shifted, SpaceDrift))]


def split_drift(run: Run) -> Drift:
    """Compare each split with all other scored samples by property, and each held-out split with the rest by embedding.

    Embeddings of training samples are excluded, because training alone sets them apart. Properties or embeddings that
    the run lacks are not tested.
    """
    samples = _scored(run)
    splits = [name for name in SPLITS if AT_LEAST <= (samples["split"] == name).sum() <= len(samples) - AT_LEAST]
    masks = [(samples["split"] == name).to_numpy() for name in splits] if run.has("properties") else []
    properties = property_drift(samples, masks, splits, ["all other samples"] * len(splits))
    embedded = run.scan("embeddings").select("sample_id").collect().to_series().implode()
    held_out = samples.filter("out_of_sample", pl.col("split") != "train", pl.col("sample_id").is_in(embedded))
    rows = []
    for name in splits if run.has("embeddings") else ():
        sides = [
            held_out.filter(side)["sample_id"].to_numpy() for side in (pl.col("split") == name, pl.col("split") != name)
        ]
        if min(len(side) for side in sides) >= AT_LEAST:
            points = [_embeddings(run, _pick(side)) for side in sides]
            rows.append({"set": name, "others": "other held-out samples", "space": EMBEDDINGS} | energy_test(*points))
    return Drift(properties, _adjusted(rows))


def run_drift(now: Run, before: Run) -> Drift | str:
    """Compare the images that only the later data has with all earlier ones; a sentence if there is nothing to test."""
    run_without_images = next((run.run_id for run in (now, before) if not run.has("properties")), None)
    if run_without_images:
        return f"Run {run_without_images} has no images whose properties could be tested for drift."
    if now.dataset_id == before.dataset_id:
        return (
            f"Both runs are of the same data ({now.facts['dataset_name']}, {now.dataset_id}): the properties of its "
            "images are the same numbers, so there is no drift to test between them."
        )
    images, earlier_images = (_images(run) for run in (now, before))
    new_images = images.join(earlier_images, on="sha256", how="anti")
    if min(len(new_images), len(earlier_images)) < AT_LEAST:
        return (
            f"{len(new_images):,} of {len(images):,} images are not in the data of {before.run_id} "
            f"({len(earlier_images):,} images), too few to test for drift: at least {AT_LEAST} are needed."
        )
    pooled = pl.concat([new_images, earlier_images])
    is_new = np.arange(len(pooled)) < len(new_images)
    names = ("new images", f"images of {before.run_id}")
    properties = property_drift(pooled, [is_new], [names[0]], [names[1]])
    points = _standardised(pooled)
    subsets = [_pick(np.flatnonzero(side)) for side in (is_new, ~is_new)]
    result = energy_test(points[subsets[0]], points[subsets[1]])
    return Drift(properties, _adjusted([{"set": names[0], "others": names[1], "space": PROPERTIES} | result]))


def energy_test(
    first_ND: Points, second_ND: Points, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> dict[str, object]:
    """Test whether two sets of points have the same distribution: n, n_others, value, chance and p.

    `value` is the energy distance divided by twice the mean distance between the sets: 0 for equal distributions, 1 for
    disjoint ones. `chance` is the 95 % quantile over random partitions; p = (1 + hits) / (1 + permutations).
    """
    n, m = len(first_ND), len(second_ND)
    distance_NN = _distances(np.concatenate([first_ND, second_ND]).astype(np.float64))
    rng = np.random.default_rng(seed)
    inside = np.zeros((n + m, 1 + permutations), np.float32)
    inside[:n] = 1
    inside[:, 1:] = rng.permuted(inside[:, 1:], axis=0)
    within = (inside * (distance_NN @ inside)).sum(0, dtype=np.float64)
    from_inside = distance_NN.sum(1, dtype=np.float64) @ inside
    across = from_inside - within
    outside = distance_NN.sum(dtype=np.float64) - 2 * from_inside + within
    mean_across = 2 * across / (n * m)
    value = (mean_across - within / n**2 - outside / m**2) / np.maximum(mean_across, 1e-12)
    hits = int((value[1:] >= value[0] - 1e-6).sum())
    chance = float(np.quantile(value[1:], 0.95))
    return {"n": n, "n_others": m, "value": float(value[0]), "chance": chance, "p": (1 + hits) / (1 + permutations)}


def delta_interval(first: Points, second: Points) -> tuple[float, float]:
    """Return the 95 % interval of Cliff's delta of two sets of values without missing ones (DeLong et al. 1988)."""
    n, m = len(first), len(second)
    pooled_ranks = _ranks(np.concatenate([first, second]))
    above = (
        pooled_ranks[:n] - _ranks(first)
    ) / m  # for each value of the first set, the share of lower ones in the second
    below = 1 - (pooled_ranks[n:] - _ranks(second)) / n
    delta = 2 * float(above.mean()) - 1
    half_width = 2 * Z95 * math.sqrt(above.var(ddof=1) / n + below.var(ddof=1) / m)
    return max(-1.0, delta - half_width), min(1.0, delta + half_width)


def property_drift(
    samples: pl.DataFrame, masks: list[Mask], sets: Sequence[str], others: Sequence[str]
) -> pl.DataFrame:
    """Compare every property of every set with all other samples, as in `Drift.properties`."""
    measured = measure(samples, masks).rename({"others": "there"})
    columns = {name: samples[name].to_numpy() for name in PROPERTY_WORDING}
    ends = []
    for row in measured.iter_rows(named=True):
        inside = masks[row["set"]]
        if row["property"] in HUES:
            shares = [(row["here"], int(inside.sum())), (row["there"], int((~inside).sum()))]
            half_width = Z95 * math.sqrt(sum(share * (1 - share) / n for share, n in shares))
            ends.append((row["delta"] - half_width, row["delta"] + half_width))
        else:
            values = columns[row["property"]]
            ends.append(delta_interval(values[inside], values[~inside]))
    set_index = measured["set"]
    return measured.select(
        pl.Series("set", [sets[i] for i in set_index], dtype=pl.String),
        pl.Series("others", [others[i] for i in set_index], dtype=pl.String),
        pl.Series("n", [int(masks[i].sum()) for i in set_index], dtype=pl.Int64),
        pl.Series("n_others", [int((~masks[i]).sum()) for i in set_index], dtype=pl.Int64),
        *("property", "here", "there", "delta"),
        pl.Series("low", [low for low, _ in ends], dtype=pl.Float64),
        pl.Series("high", [high for _, high in ends], dtype=pl.Float64),
        *("p", "adjusted_p"),
    )


def _say_property(row: PropertyDrift) -> str:
    """ "Test: clearly light background (median L* 88, others 53); Cliff's delta +0.62 (0.59 to 0.65), n ..."."""
    difference: Difference = {
        "property": row["property"],
        "delta": row["delta"],
        "here": row["here"],
        "others": row["there"],
    }
    clause, interval = to_clause(difference, others=row["others"]), between(row["low"], row["high"], "+.2f")
    return (
        f"{row['set'].capitalize()}: {clause}; Cliff's delta {row['delta']:+.2f} ({interval}), "
        f"n {row['n']:,} and {row['n_others']:,}, Mann-Whitney, adjusted {p_value(row['adjusted_p'])}."
    )


def _say_space(row: SpaceDrift) -> str:
    """Describe the energy test of a space that has drifted."""
    return (
        f"{row['set'].capitalize()} and {row['others']} differ in their {row['space']} as a whole: energy "
        f"distance {row['value']:.4f}, by chance up to {row['chance']:.4f} (n {row['n']:,} and {row['n_others']:,}, "
        f"adjusted {p_value(row['adjusted_p'])})."
    )


def _adjusted(rows: list[dict[str, object]]) -> pl.DataFrame:
    """Return the energy tests as a frame, with p adjusted over all of them."""
    counts = dict.fromkeys(("n", "n_others"), pl.Int64)
    schema = dict.fromkeys(("set", "others", "space"), pl.String) | counts
    tests = pl.DataFrame(rows, schema=schema | dict.fromkeys(("value", "chance", "p"), pl.Float64))
    return tests.with_columns(pl.Series("adjusted_p", benjamini_hochberg(tests["p"].to_numpy()), dtype=pl.Float64))


def _scored(run: Tables) -> pl.DataFrame:
    """Return the scored samples with split and properties."""
    scored = run.scan("predictions").select("sample_id", "out_of_sample")
    samples = scored.join(run.scan("samples").select("sample_id", "split"), on="sample_id")
    properties = run.scan("properties").drop("dataset_id")
    return samples.join(properties, on="sample_id", how="left").sort("sample_id").collect()


def _images(run: Tables) -> pl.DataFrame:
    """Return every image of the run's dataset with its hash and properties."""
    hashes = run.scan("samples").select("sample_id", "sha256")
    return hashes.join(run.scan("properties").drop("dataset_id"), on="sample_id").sort("sample_id").collect()


def _embeddings(run: Tables, sample_id: NDArray[np.int64]) -> Points:
    """Return the unit-length embeddings [N, D] of the samples."""
    embeddings = run.scan("embeddings").filter(pl.col("sample_id").is_in(sample_id.tolist()))
    rows = embeddings.select("embedding").collect()["embedding"]
    return to_unit(rows.explode().to_numpy().reshape(len(rows), -1))


def _standardised(samples: pl.DataFrame) -> Points:
    """Return all properties except the hue, standardised to mean 0 and standard deviation 1 [N, D]."""
    values = samples.select(*PROPERTY_WORDING).to_numpy()
    return np.asarray((values - values.mean(0)) / values.std(0).clip(1e-12))


def _pick(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return at most a thousand of the ids, chosen deterministically."""
    return ids if len(ids) <= AT_MOST else np.sort(np.random.default_rng(0).choice(ids, AT_MOST, replace=False))


def _distances(points_ND: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the Euclidean distances of all pairs [N, N]."""
    squares = (points_ND**2).sum(1)
    squared_NN = squares[:, None] + squares - 2 * points_ND @ points_ND.T
    np.fill_diagonal(squared_NN, 0)
    return np.sqrt(squared_NN.clip(0)).astype(np.float32)


def _ranks(values: Points) -> NDArray[np.float64]:
    """Return the rank of each value from 1, ties averaged; faster than scipy, and a page needs a hundred of them."""
    _, position, ties = np.unique(values, return_inverse=True, return_counts=True)
    return (ties.cumsum() - (ties - 1) / 2)[position].astype(np.float64)
