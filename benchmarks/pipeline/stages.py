"""Measure how the stages that map over samples scale: time per sample at several sizes, and the exponent of the growth.

    .venv/bin/python -m benchmarks.pipeline.stages  # 60,000, 250,000 and 1,000,000: half an hour
    .venv/bin/python -m benchmarks.pipeline.stages --sizes 6000,12000,24000 --stages index,neighbors  # a minute

Each stage runs in a separate process for each size, on substitute data: random images of 16 px for the properties, of 8
px for scoring, and of 16 px for the loss maps of one in a hundred samples, with an untrained model. The cost of the
model itself is measured in `benchmarks.pipeline.train` (`show_scoring`: against a bare forward loop) and
`benchmarks.pipeline.loss_maps`. Embeddings are clusters of normally distributed numbers (`benchmarks.lake.similar`).
Neighbours are those that the search index proposes, compared with exact ones; the cost of exact search for all samples
is extrapolated from 1,024 of them. Clusters are assigned to 2,000 new samples among the others. Duplicate detection is
left out: it does not map over samples but compares all spectra.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.lake.similar import clustered
from benchmarks.support.apart import apart
from lake.contracts.clusters import METHODS
from lake.search.ann_index import SearchIndex
from pipeline.data.dataset import Dataset
from pipeline.engine.progress import Progress
from pipeline.engine.stage_cache import measure_cost
from pipeline.loss_maps import hirescam
from pipeline.measure import image_properties, incremental, neighbors, score
from pipeline.measure.ann_index import build_index
from pipeline.model.classifier import create_model
from pipeline.settings import Phase, Settings, load_settings

WANTED_EXPONENT, WANTED_RECALL, NEAREST = 1.1, 0.95, 15
EXPLAINED = 100
"""One in this many samples has loss maps."""
CHECKED, NEW, FEATURES, COMPONENTS, CLUSTERS = 1024, 2000, 512, 50, 20
QUIET = Progress(quiet=True)
Figures = dict[str, float]

console = Console(width=150)


@dataclass(frozen=True)
class Work:
    """The work to time, the number of samples it covers, and a function that computes figures from the result."""

    run: Callable[[], Any]
    count: int
    check: Callable[[Any], Figures] = lambda _: {}


@dataclass(frozen=True)
class Cost:
    """Seconds of a stage, the number of samples it covers, peak memory in MiB, and figures."""

    seconds: float
    count: int
    peak: float
    figures: Figures


def main(
    sizes: Annotated[str, typer.Option(help="Numbers of samples.")] = "60000,250000,1000000",
    stages: Annotated[str, typer.Option(help="Which of the stages, in order.")] = "",
    folder: Annotated[Path | None, typer.Option(help="For vectors and indexes, which stay; else removed.")] = None,
) -> None:
    """Print a line for each stage, then the recall of the neighbours and the cost of exact ones."""
    samples = [int(size) for size in sizes.split(",")]
    chosen = stages.split(",") if stages else list(STAGES)
    table = Table("stage", "of", *(f"{n:,}" for n in samples), "exponent", "peak MiB", "figures")
    with tempfile.TemporaryDirectory() as temporary:
        for stage in chosen:
            costs = [apart(partial(measure, stage, n, folder or Path(temporary))) for n in samples]
            table.add_row(stage, *_cells(samples, costs))
            console.print(f"{stage}: {', '.join(f'{cost.seconds:.1f} s' for cost in costs)}")
    console.print(f"wanted: exponent at most {WANTED_EXPONENT}, recall@{NEAREST} at least {WANTED_RECALL}")
    console.print(table)


def measure(stage: str, samples: int, folder: Path) -> Cost:
    """Measure the cost of a stage in this process."""
    work = STAGES[stage](samples, folder, load_settings(preset="quick", index_above=0))
    with measure_cost() as cost:
        found = work.run()
    return Cost(cost["seconds"], work.count, cost["peak_memory_mib"], work.check(found))


def exponent(samples: list[int], seconds: list[float]) -> float:
    """Slope of log seconds over log samples."""
    return float(np.polyfit(np.log(samples), np.log(seconds), 1)[0])


def _cells(samples: list[int], costs: list[Cost]) -> list[str]:
    """The number of samples, microseconds per sample for each size, exponent, memory and figures."""
    each = [f"{cost.seconds / cost.count * 1e6:,.1f} µs" for cost in costs]
    slope = f"{exponent(samples, [cost.seconds for cost in costs]):.2f}" if len(samples) > 1 else ""
    figures = [f"{name} {' '.join(f'{cost.figures[name]:,.3g}' for cost in costs)}" for name in costs[0].figures]
    peaks = " ".join(f"{cost.peak:,.0f}" for cost in costs)
    return [f"{costs[-1].count:,}", *each, slope, peaks, "; ".join(figures)]


def _properties(samples: int, folder: Path, settings: Settings) -> Work:  # noqa: ARG001
    images_NHWC = _draw_images(samples, 16)
    return Work(lambda: image_properties.compute_properties(images_NHWC, settings, QUIET), samples)


def _score(samples: int, folder: Path, settings: Settings) -> Work:  # noqa: ARG001
    dataset, small = _draw_dataset(samples, 8), _at(settings, 8)
    rows = np.arange(samples)
    return Work(lambda: score.score(create_model(10).eval(), dataset, rows, small, QUIET), samples)


def _loss_maps(samples: int, folder: Path, settings: Settings) -> Work:  # noqa: ARG001
    dataset, small = _draw_dataset(samples, 16), _at(settings, 16)
    rows = np.arange(0, samples, EXPLAINED)
    chosen = pl.DataFrame({"sample_id": rows, "row": rows, "target": rows % 10}).with_columns(
        fold=pl.lit(0), temperature=pl.lit(1.0), loss=pl.lit(2.3)
    )
    models = {0: create_model(10).eval()}
    return Work(lambda: hirescam.compute_loss_maps(models, dataset, chosen, small, QUIET), len(rows))


def _index(samples: int, folder: Path, settings: Settings) -> Work:
    unit_ND = _draw_embedding(samples, folder)

    def keep(data: bytes) -> Figures:
        _index_file(samples, folder).write_bytes(data)
        return {"MiB": len(data) / 2**20}

    return Work(lambda: build_index(unit_ND, threads=settings.threads), samples, keep)


def _neighbors(samples: int, folder: Path, settings: Settings) -> Work:
    unit_ND, file = _draw_embedding(samples, folder), _index_file(samples, folder)
    data = file.read_bytes() if file.exists() else build_index(unit_ND, threads=settings.threads)
    index = SearchIndex.read([data], unit_ND.shape)
    search = partial(neighbors.search_neighbors, unit_ND, NEAREST, settings, QUIET)

    def hold_to_exact(found: tuple[NDArray[np.int64], Any]) -> Figures:
        rows = np.sort(np.random.default_rng(1).choice(samples, min(CHECKED, samples), replace=False))
        with measure_cost() as cost:
            exact, _ = search(rows=rows)
        recall = np.mean([np.isin(a, b).mean() for a, b in zip(exact, found[0][rows], strict=True)])
        return {f"recall@{NEAREST}": float(recall), "exact of all, min": cost["seconds"] / len(rows) * samples / 60}

    return Work(lambda: search(index=index), samples, hold_to_exact)


def _assign(samples: int, folder: Path, settings: Settings) -> Work:  # noqa: ARG001
    rng = np.random.default_rng(0)
    points = rng.standard_normal((samples + NEW, COMPONENTS), dtype=np.float32)
    ids = np.arange(samples)
    known = pl.DataFrame({"sample_id": ids, "cluster": ids % CLUSTERS}).with_columns(strength=pl.lit(1.0))
    table = pl.concat([known.with_columns(method=pl.lit(method)) for method in METHODS])
    everyone = np.arange(samples + NEW)
    return Work(lambda: incremental.assign(points, everyone, table, settings, QUIET), samples)


STAGES: dict[str, Callable[[int, Path, Settings], Work]] = {
    "properties": _properties,
    "score": _score,
    "loss maps": _loss_maps,
    "index": _index,
    "neighbors": _neighbors,
    "assign": _assign,
}


def _at(settings: Settings, side: int) -> Settings:
    return settings.model_copy(update={"phases": [Phase(resolution=side, epochs=1)]})


def _draw_images(samples: int, side: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (samples, side, side, 3), dtype=np.uint8)


def _draw_dataset(samples: int, side: int) -> Dataset:
    """Images without a source, with as much of a dataset as the stages need."""
    ids = np.arange(samples)
    return Dataset(
        dataset_id="drawn",
        name="Drawn",
        classes=[f"class {i}" for i in range(10)],
        groups={},
        sample_id=ids,
        images_NHWC=_draw_images(samples, side),
        label=ids % 10,
        split=np.full(samples, "test"),
        source_name=[],
    )


def _draw_embedding(samples: int, folder: Path) -> NDArray[np.float32]:
    """Unit-length vectors, drawn once."""
    file = folder / f"embedding-{samples}.npy"
    if not file.exists():
        np.save(file, clustered(samples, FEATURES, np.random.default_rng(0)))
    return np.load(file)


def _index_file(samples: int, folder: Path) -> Path:
    return folder / f"index-{samples}.faiss"


if __name__ == "__main__":
    typer.run(main)
