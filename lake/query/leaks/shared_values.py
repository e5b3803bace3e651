"""Values of a column, such as patients, with images in training and in test, and what accuracy is on unseen values.

If the classifier has seen other images of a patient, it may recognise the patient instead of the class, so that
accuracy is higher than for new patients. N test samples, V values.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.query.joined_samples import Tables, metadata_columns
from lake.query.leaks.suspected_groups import LEAST_GROUPS, as_groups, suspect_groups
from lake.statistics import benjamini_hochberg, effective_size, proportion_difference_interval

FEWEST = 20
"""Test samples with seen values, and with unseen ones, from which their accuracies are compared."""
PERMUTATIONS, LEVEL = 999, 0.05
AT_ONCE = 2**20
"""Values permuted at once."""


@dataclass(frozen=True)
class Part:
    """Test samples whose value was seen in training, or was not."""

    values: int
    n: int
    hits: int


@dataclass(frozen=True)
class SharedValues:
    """A column whose values are those of labelled test samples."""

    column: str
    seen: Part
    """Test samples whose value has training samples too."""
    unseen: Part
    is_suspect: bool
    """Whether its name, its labels or the setting `group_column` says that samples of a value belong together."""
    difference: float | None = None
    """Accuracy on seen values minus that on unseen ones; None if either has fewer than 20 samples."""
    low: float | None = None
    high: float | None = None
    """Its 95 % interval. Samples of a value count together, as they are not independent."""
    adjusted_p: float | None = None
    """One-sided, from a permutation of which values were seen; adjusted for all columns."""

    @property
    def values(self) -> int:
        """The distinct values in the test split."""
        return self.seen.values + self.unseen.values

    @property
    def can_group(self) -> bool:
        """Whether there are enough values to keep each of them in one split."""
        return self.values >= LEAST_GROUPS

    @property
    def is_easier(self) -> bool:
        """Whether accuracy is higher on seen values than on unseen ones by more than chance."""
        return self.adjusted_p is not None and self.adjusted_p < LEVEL and self.low is not None and self.low > 0


def find_shared_values(run: Tables, *, group_column: str | None = None, seed: int = 0) -> list[SharedValues]:
    """The metadata columns to tell of: suspects, and those with a higher accuracy on seen values than by chance.

    Columns of text or whole numbers are looked at that have from 2 values to half as many as there are samples. Empty
    without training samples.
    """
    samples = run.scan("samples").select("sample_id", "split", "label", *metadata_columns(run)).collect()
    right = run.scan("predictions").select("sample_id", "correct").collect()
    test = samples.filter(split="test").drop_nulls("label").join(right, on="sample_id", maintain_order="left")
    train = samples.filter(split="train")
    if train.is_empty() or test.is_empty():
        return []
    columns = _choose_columns(samples, list(run.metadata))
    suspects = {
        suspect.column
        for suspect in suspect_groups(
            {name: samples[name] for name in columns},
            samples["label"].to_list(),
            images=len(samples),
            splits=samples["split"].to_list(),
        )
    } | {name for name in columns if group_column and _plain(name) == _plain(group_column)}
    found = [_compare(name, train, test, is_suspect=name in suspects, seed=seed) for name in columns]
    return [one for one in _adjust([one for one in found if one.values]) if one.is_suspect or one.is_easier]


def _choose_columns(samples: pl.DataFrame, names: Collection[str]) -> list[str]:
    chosen = []
    for name in names:
        values = as_groups(samples[name])
        if values is not None and 2 <= values.drop_nulls().n_unique() <= (len(values) - values.null_count()) / 2:
            chosen.append(name)
    return chosen


def _compare(column: str, train: pl.DataFrame, test: pl.DataFrame, *, is_suspect: bool, seed: int) -> SharedValues:
    known, values = as_groups(train[column]), as_groups(test[column])
    assert known is not None and values is not None  # chosen over all samples
    counts = (
        pl.DataFrame({"value": values, "correct": test["correct"]})
        .drop_nulls()
        .group_by("value", maintain_order=True)
        .agg(n=pl.len(), hits=pl.col("correct").sum())
    )
    seen_V = counts["value"].is_in(known.drop_nulls().unique().to_list()).to_numpy()
    hits_V, n_V = (counts[name].to_numpy().astype(np.float64) for name in ("hits", "n"))
    seen, unseen = (Part(int(mask.sum()), int(n_V[mask].sum()), int(hits_V[mask].sum())) for mask in (seen_V, ~seen_V))
    shared = SharedValues(column, seen, unseen, is_suspect)
    if min(seen.n, unseen.n) < FEWEST:
        return shared
    low, high = _interval(hits_V, n_V, seen_V)
    difference = seen.hits / seen.n - unseen.hits / unseen.n
    p = _easier_p(hits_V, n_V, seen_V, difference, seed)
    return replace(shared, difference=difference, low=low, high=high, adjusted_p=p)


def _interval(hits_V: NDArray[np.float64], n_V: NDArray[np.float64], seen_V: NDArray[np.bool_]) -> tuple[float, float]:
    counts: list[float] = []
    for mask in (seen_V, ~seen_V):
        size = effective_size(hits_V[mask], n_V[mask])
        counts += [size * float(hits_V[mask].sum() / n_V[mask].sum()), size]
    return proportion_difference_interval(*counts)


def _easier_p(
    hits_V: NDArray[np.float64], n_V: NDArray[np.float64], seen_V: NDArray[np.bool_], difference: float, seed: int
) -> float:
    """How often a difference as large arises if which values were seen is permuted."""
    rng, as_large = np.random.default_rng(seed), 0
    size = max(1, AT_ONCE // len(seen_V))
    for start in range(0, PERMUTATIONS, size):
        count = min(size, PERMUTATIONS - start)
        masks_PV = rng.permuted(np.tile(seen_V, (count, 1)), axis=1)
        n_P, hits_P = masks_PV @ n_V, masks_PV @ hits_V
        differences_P = hits_P / n_P - (hits_V.sum() - hits_P) / (n_V.sum() - n_P)
        as_large += int((differences_P >= difference - 1e-12).sum())
    return (1 + as_large) / (1 + PERMUTATIONS)


def _adjust(found: list[SharedValues]) -> list[SharedValues]:
    """The same with p values adjusted for all columns that were compared."""
    p = [one.adjusted_p for one in found if one.adjusted_p is not None]
    adjusted = iter(benjamini_hochberg(np.array(p)).tolist() if p else [])
    return [one if one.adjusted_p is None else replace(one, adjusted_p=next(adjusted)) for one in found]


def _plain(name: str) -> str:
    """A name of a column without what a metadata column may not have."""
    return "".join(c for c in name if c.isalnum()).casefold()
