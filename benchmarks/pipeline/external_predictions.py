"""Measure the time from a file of predictions to a published run.

    .venv/bin/python -m benchmarks.pipeline.external_predictions  # 60,000 of 10 classes: about two minutes
    .venv/bin/python -m benchmarks.pipeline.external_predictions --features 512  # with embeddings: ten minutes

Each refresh runs the command in a separate process, with an empty lake and work folder. For comparison, in the same
rounds, the file is read and written as a Delta table in a separate process, which any tool has to do.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from lake.query import queries
from lake.storage.store import Lake

GOAL = "goal: 60,000 predictions to a published run within 30 s"
COPY = "import sys, polars as pl; pl.read_parquet(sys.argv[1]).write_delta(sys.argv[2])"
SETTINGS = """\
lake = {lake}
work_dir = {work}
preset = "standard"
[dataset]
source = {source}
metadata = ["camera", "iso"]
[dataset.predictions]
"""

console = Console(width=120)


def main(
    samples: Annotated[int, typer.Option(min=1000)] = 60_000,
    classes: Annotated[int, typer.Option(min=2)] = 10,
    features: Annotated[int, typer.Option(help="Numbers of an embedding; 0 for none.")] = 0,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Print the seconds of each round and stage, and their ratio to those of a bare copy."""
    console.print(GOAL)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "predictions.parquet"
        draw_predictions(samples, classes, features).write_parquet(source)
        imported: list[float] = []
        copied: list[float] = []
        stages: dict[str, list[float]] = {}
        for number in range(rounds):
            root = Path(folder) / str(number)
            root.mkdir()
            copied.append(_seconds([sys.executable, "-c", COPY, str(source), str(root / "copy")]))
            imported.append(_seconds(_refresh_command(root, source)))
            costs = queries.stage_costs(Lake(root / "lake").run()).collect()
            for stage, seconds in costs.select("stage", "seconds").iter_rows():
                stages.setdefault(stage, []).append(seconds)
    table = Table("stage", "median s", box=None)
    for stage, seconds in stages.items():
        table.add_row(stage, f"{np.median(seconds):.2f}")
    console.print(table)
    ratio = np.median(imported) / np.median(copied)
    console.print(
        f"{samples:,} predictions of {classes} classes, {features} features: published after {_summary(imported)}; "
        f"a bare copy {_summary(copied)}: ratio of medians {ratio:.1f}"
    )


def draw_predictions(samples: int, classes: int, features: int, *, seed: int = 0) -> pl.DataFrame:
    """name, label, split, camera, iso, probabilities, optionally embedding; half of class 0 is predicted as class 1."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, samples)
    seen = np.where((label == 0) & (rng.random(samples) < 0.5), 1, label)
    logits = rng.normal(size=(samples, classes)).astype(np.float32)
    logits[np.arange(samples), seen] += 3
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    columns = {
        "name": [f"camera/{i:07}.jpg" for i in range(samples)],
        "label": [f"class {i}" for i in label],
        "split": np.where(rng.random(samples) < 0.7, "train", "test").tolist(),
        "camera": rng.choice(["left", "right", "top"], samples).tolist(),
        "iso": rng.choice([100, 200, 400, 800], samples),
        "probabilities": pl.Series(p).cast(pl.List(pl.Float32)),
    }
    if features:
        centres = rng.normal(size=(classes, features)).astype(np.float32)
        around = rng.normal(size=(samples, features)).astype(np.float32)
        columns["embedding"] = pl.Series(centres[seen] + around).cast(pl.List(pl.Float32))
    return pl.DataFrame(columns)


def _refresh_command(root: Path, source: Path) -> list[str]:
    paths = {"lake": root / "lake", "work": root / "work", "source": source}
    (root / "settings.toml").write_text(
        SETTINGS.format(**{name: json.dumps(str(path)) for name, path in paths.items()})
    )
    return [sys.executable, "-m", "pipeline.cli", "refresh", "--config", str(root / "settings.toml")]


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def _summary(seconds: list[float]) -> str:
    return f"{np.median(seconds):.1f} s (n {len(seconds)}, {min(seconds):.1f} to {max(seconds):.1f})"


if __name__ == "__main__":
    typer.run(main)
