"""Measure the search for similar samples: its duration, and the recall of the search index.

    .venv/bin/python -m benchmarks.lake.similar                 # about fifteen minutes and 3 GiB
    .venv/bin/python -m benchmarks.lake.similar data/lake       # also with an index over the embeddings of a run

Compares exact search of 60,000 x 512 with a bare matrix-vector product, then an index of 1,000,000 x 512 synthetic
vectors of each kind with exact search in the same process. All times are of `Index.search`.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from operator import matmul
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from lake.search.ann_index import SearchIndex
from lake.search.similar import Index
from lake.search.vectors import to_unit
from lake.storage.store import Lake
from pipeline.engine.progress import Progress
from pipeline.engine.stage_cache import measure_cost
from pipeline.measure.ann_index import build_index

GOALS = "goals: exact at 60,000 p95 25 ms; with the index, clustered: recall@10 0.95, p95 60 ms"
KINDS, CLUSTERS, DIRECTIONS = 50, 1000, 32
BLOCK = 2**16
WARM_UPS = 5
Vectors = NDArray[np.float32]

console = Console(width=140)


def main(
    lake: Annotated[Path | None, typer.Argument(help="Folder of a lake.")] = None,
    samples: Annotated[int, typer.Option(help="With an index.")] = 1_000_000,
    exact_samples: Annotated[int, typer.Option(help="Without.")] = 60_000,
    features: int = 512,
    queries: Annotated[int, typer.Option(help="Held out, from the same distribution.")] = 200,
) -> None:
    """Print build time, memory, recall, medians and 95th percentiles."""
    console.print(GOALS)
    _exact(clustered(exact_samples + queries, features, np.random.default_rng(0)), queries)
    for name, draw in {"clustered": clustered, "independent normal": independent}.items():
        _indexed(name, draw(samples + queries, features, np.random.default_rng(1)), queries)
    if lake is not None:
        unit_ND = Index.of(Lake(lake).run()).unit_ND
        _indexed(f"the run in {lake}", np.random.default_rng(2).permutation(unit_ND), queries)


def clustered(count: int, features: int, rng: np.random.Generator) -> Vectors:
    """Vectors around 1,000 centres of 50 kinds, in random order: wide along 32 directions each, narrow along all.

    Clusters differ in size, and clusters of the same kind lie near each other.
    """
    kind_KD = rng.standard_normal((KINDS, features), dtype=np.float32)
    size = rng.multinomial(count, rng.dirichlet(np.full(CLUSTERS, 2.0)))
    drawn = np.empty((count, features), np.float32)
    for i, rows in enumerate(np.split(rng.permutation(count), np.cumsum(size)[:-1])):
        centre = kind_KD[i % KINDS] + 0.7 * rng.standard_normal(features, dtype=np.float32)
        directions = rng.standard_normal((DIRECTIONS, features), dtype=np.float32) / np.float32(DIRECTIONS**0.5)
        wide = rng.standard_normal((len(rows), DIRECTIONS), dtype=np.float32) @ directions
        drawn[rows] = to_unit(centre + 0.8 * wide + 0.3 * rng.standard_normal(wide.shape, dtype=np.float32))
    return drawn


def independent(count: int, features: int, rng: np.random.Generator) -> Vectors:
    """Vectors without any structure: the worst case, in which the nearest are hardly nearer than all others."""
    drawn = np.empty((count, features), np.float32)
    for start in range(0, count, BLOCK):
        part = drawn[start : start + BLOCK]
        part[:] = to_unit(rng.standard_normal(part.shape, dtype=np.float32))
    return drawn


def recall(found: list[NDArray[np.int64]], expected: list[NDArray[np.int64]]) -> float:
    """Share of the expected neighbours that were found, averaged over the searches."""
    return float(np.mean([np.isin(b, a).mean() for a, b in zip(found, expected, strict=True)]))


def _exact(drawn: Vectors, queries: int) -> None:
    index, held_out = _hold_out(drawn, queries)
    _, ours = _search(index, held_out, 10, None)
    bare = [_milliseconds(partial(matmul, index.unit_ND, query)) for query in held_out]
    ratio = np.median(ours[WARM_UPS:]) / np.median(bare[WARM_UPS:])
    console.print(
        f"exact, {len(index.sample_id):,} x {drawn.shape[1]}: {_summary(ours)}; "
        f"bare product {_summary(bare)}: ratio of medians {ratio:.2f}"
    )


def _indexed(name: str, drawn: Vectors, queries: int) -> None:
    """Build an index of the vectors, and compare it with exact search."""
    exact, held_out = _hold_out(drawn, queries)
    with measure_cost() as cost:
        data = build_index(exact.unit_ND, threads=os.cpu_count() or 1, progress=Progress(quiet=True))
    console.print(
        f"{name}, {len(exact.sample_id):,} x {drawn.shape[1]} ({exact.unit_ND.nbytes / 2**20:,.0f} MiB): built in "
        f"{cost['seconds']:.0f} s, index {len(data) / 2**20:.0f} MiB, peak memory of the process "
        f"{cost['peak_memory_mib']:,.0f} MiB"
    )
    indexed = Index(exact.sample_id, exact.unit_ND, SearchIndex.read([data], exact.unit_ND.shape))
    table = Table("asked for", "allowed", "recall", "with the index", "exact", "ratio of medians", "n")
    for count, share in ((10, 1.0), (100, 1.0), (10, 0.5), (10, 0.05)):
        among = None if share == 1 else np.random.default_rng(3).random(len(exact.sample_id)) < share
        found, times = _search(indexed, held_out, count, among)
        expected, exact_times = _search(exact, held_out, count, among)
        ratio = np.median(times) / np.median(exact_times)
        cells = [f"{recall(found, expected):.3f}", _summary(times), _summary(exact_times), f"{ratio:.3f}"]
        table.add_row(str(count), f"{share:.0%}", *cells, str(len(held_out)))
    console.print(table)


def _search(
    index: Index, queries: Vectors, count: int, among: NDArray[np.bool_] | None
) -> tuple[list[NDArray[np.int64]], list[float]]:
    """The results of each query, and its time in milliseconds."""
    found: list[NDArray[np.int64]] = []
    times = []
    for query in queries:
        started = time.perf_counter()
        found.append(index.search(query, count, among=among)["sample_id"].to_numpy())
        times.append((time.perf_counter() - started) * 1000)
    return found, times


def _hold_out(drawn: Vectors, queries: int) -> tuple[Index, Vectors]:
    return Index(np.arange(len(drawn) - queries), drawn[:-queries]), drawn[-queries:]


def _summary(milliseconds: list[float]) -> str:
    warm = milliseconds[WARM_UPS:]
    return f"median {np.median(warm):.1f} ms, p95 {np.quantile(warm, 0.95):.1f} ms"


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    typer.run(main)
