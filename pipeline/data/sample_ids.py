"""Stable sample ids: known samples keep their id; ids are never reused.

A sample is identified by its name and pixels: changed pixels make a new sample.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.query.reviews import scan_reviews
from lake.storage.store import Lake, Run

Key = tuple[str, str]
"""The name in the source and the SHA-256 of the pixels."""


@dataclass(frozen=True)
class KnownSamples:
    """The samples of a dataset known to the lake."""

    sample_id: dict[Key, int]
    split: dict[Key, str]
    highest_id: int
    """The highest id ever assigned; -1 if none was."""

    @classmethod
    def read(cls, lake: Lake, dataset_id: str) -> "KnownSamples":
        """Read the samples from the newest version of the tables, including those left out by reviews.

        Ids of samples that are gone are not reused. The table `images` keeps every image that ever existed; for samples
        without images, the highest id is taken from published runs and reviews.
        """
        ids: dict[Key, int] = {}
        split: dict[Key, str] = {}
        for table in ("quarantine", "samples"):
            if lake.has(table, dataset_id):
                columns = ("source_name", "sha256", "sample_id", "split")
                rows = lake.staged(table, dataset_id).select(columns).drop_nulls("sample_id")
                for name, sha, sample_id, split_name in rows.collect().iter_rows():
                    ids[name, sha], split[name, sha] = sample_id, split_name
        return cls(ids, split, max([*ids.values(), *_assigned_ids(lake, dataset_id)], default=-1))

    def assign_ids(self, keys: Iterable[Key], *, after: int = -1) -> NDArray[np.int64]:
        """The id of each sample: its known id, or the next unused one above `after`."""
        highest, ids = max(self.highest_id, after), []
        for key in keys:
            sample_id = self.sample_id.get(key)
            highest += sample_id is None
            ids.append(highest if sample_id is None else sample_id)
        return np.array(ids, dtype=np.int64)


def _assigned_ids(lake: Lake, dataset_id: str) -> list[int]:
    """Assigned ids, including the highest id of samples that are gone."""
    if lake.has("images", dataset_id):
        tables = [lake.staged("images", dataset_id)]
    else:
        runs = lake.runs().filter(dataset_id=dataset_id)
        tables = [Run(lake, facts).scan("samples") for facts in runs.iter_rows(named=True)]
        tables.append(scan_reviews(lake, dataset_id))
    highest = pl.collect_all(table.select(pl.max("sample_id")) for table in tables)
    return [sample_id for frame in highest if (sample_id := frame.item()) is not None]
