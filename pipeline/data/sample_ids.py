"""Numbers of samples: one who is known keeps its number for ever, and no number is given twice.

A sample is a name and its pixels: changed pixels are another sample.
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
class Known:
    """What the lake knows of the samples of a dataset."""

    number: dict[Key, int]
    split: dict[Key, str]
    last: int
    """The highest number that was ever given; -1 where none was."""

    @classmethod
    def read(cls, lake: Lake, dataset_id: str) -> "Known":
        """Of every sample at the newest version of the tables, and of those that people left out.

        Numbers of samples that are gone are not given again: every image that ever was is in the table `images`; of
        samples without images the highest number is that of published runs and of what people said.
        """
        number: dict[Key, int] = {}
        split: dict[Key, str] = {}
        for table in ("quarantine", "samples"):
            if lake.has(table, dataset_id):
                columns = ("source_name", "sha256", "sample_id", "split")
                rows = lake.staged(table, dataset_id).select(columns).drop_nulls("sample_id")
                for name, sha, sample_id, part in rows.collect().iter_rows():
                    number[name, sha], split[name, sha] = sample_id, part
        return cls(number, split, max([*number.values(), *_given(lake, dataset_id)], default=-1))

    def number_of(self, keys: Iterable[Key], *, after: int = -1) -> NDArray[np.int64]:
        """The number of each sample: the one it had, or the next that was never given, above `after`."""
        last, found = max(self.last, after), []
        for key in keys:
            number = self.number.get(key)
            last += number is None
            found.append(last if number is None else number)
        return np.array(found, dtype=np.int64)


def _given(lake: Lake, dataset_id: str) -> list[int]:
    """Numbers that were given, among them the highest of samples that are gone."""
    if lake.has("images", dataset_id):
        tables = [lake.staged("images", dataset_id)]
    else:
        runs = lake.runs().filter(dataset_id=dataset_id)
        tables = [Run(lake, facts).scan("samples") for facts in runs.iter_rows(named=True)]
        tables.append(scan_reviews(lake, dataset_id))
    highest = pl.collect_all(table.select(pl.max("sample_id")) for table in tables)
    return [number for frame in highest if (number := frame.item()) is not None]
