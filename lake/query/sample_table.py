"""The sample table in memory; for large runs, memory-mapped from a file so that columns load on access."""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa

from lake.query.joined_samples import scan_samples
from lake.storage import local_cache
from lake.storage.store import Run

IDS_AT_ONCE = 1_000_000


def read_samples(run: Run) -> pl.DataFrame:
    """Return all rows of `scan_samples`, ordered by sample id."""
    if run.scan("predictions").select(pl.len()).collect().item() > local_cache.MAPPED_ABOVE:
        with suppress(OSError):  # without disk space, read into memory
            file = local_cache.find_file(run, "arrow", partial(_write, run))
            # pyarrow maps the file and polars uses its columns in place; read_ipc would copy them all
            mapped: pl.DataFrame = pl.from_arrow(pa.ipc.open_file(pa.memory_map(str(file))).read_all())  # type: ignore[assignment]
            return mapped
    return scan_samples(run).collect()


@dataclass(frozen=True)
class _Part:
    """The tables of a run, restricted to a range of sample ids."""

    run: Run
    first: int
    end: int

    @property
    def groups(self) -> dict[str, dict[str, str]]:
        return self.run.groups

    @property
    def metadata(self) -> dict[str, str]:
        return self.run.metadata

    def scan(self, name: str) -> pl.LazyFrame:
        return self.run.scan(name).filter(pl.col("sample_id").is_between(self.first, self.end, closed="left"))


def _write(run: Run, file: Path) -> None:
    """Write the table in parts, so that memory use does not grow with the number of samples."""
    ids = pl.col("sample_id")
    first, last = run.scan("predictions").select(low=ids.min(), high=ids.max()).collect().row(0)
    with pa.ipc.new_file(file, _to_arrow(_Part(run, first, first)).schema) as writer:
        for start in range(first, last + 1, IDS_AT_ONCE):
            writer.write_table(_to_arrow(_Part(run, start, start + IDS_AT_ONCE)))


def _to_arrow(part: _Part) -> pa.Table:
    """Return the rows of a part, with strings in the in-memory format of polars."""
    return scan_samples(part).collect().to_arrow(compat_level=pl.CompatLevel.newest())
