"""Does a refresh that is killed at any moment ever harm what people read, and does the next one end as if nothing was?

    .venv/bin/python -m benchmarks.pipeline.faults --kills 100

publishes a run, then refreshes towards another one and kills that with SIGKILL: at the beginning and end of every stage
and of every write to the lake, then at seeded random moments. After each kill the published run is read again in full,
against its contracts, checksums and contents. Whenever a refresh gets to its end, what it published is compared with
what an uninterrupted one publishes, and the next one begins from nothing. An hour and a half on
two cores.
"""

import hashlib
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from lake.contracts.tables import DATASET_TABLES, RUN_TABLES, TABLES
from lake.storage.store import Lake, Run
from pipeline.data.dataset import Dataset
from pipeline.data.load import load_dataset
from pipeline.engine.progress import Progress
from pipeline.engine.stage_cache import Workspace
from pipeline.refresh.refresh import refresh
from pipeline.settings import Settings, load_settings

console = Console(width=140)
QUIET = Progress(quiet=True)
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["pipeline.refresh.refresh"])
NEVER_EQUAL = ("metrics", "training")
"""Tables that hold seconds."""


def main(
    kills: Annotated[int, typer.Option(help="At random moments.")] = 100,
    seed: Annotated[int, typer.Option(help="Of those moments.")] = 0,
    preset: Annotated[str, typer.Option(help="Of the refresh that is killed.")] = "smoke",
    boundaries: Annotated[bool, typer.Option(help="Kill at beginnings and ends of stages and writes too.")] = True,
) -> None:
    """Print how often it was killed where, and what was found; exit 1 where anything was."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), preset)
        trial.prepare()
        if boundaries:
            console.print(f"killed at {trial.kill_at_boundaries()} beginnings and ends of stages and writes")
        trial.kill_at_random(kills, seed)
        console.print(f"killed at {kills} random moments of {trial.seconds:.0f} s (seed {seed})")
    console.print(f"{trial.published} refreshes got to their end between the kills")
    console.print(f"readers: {trial.checks} full reads after kills, {len(trial.faults)} faults")
    for fault in trial.faults:
        console.print(f"  {fault}")
    raise SystemExit(1 if trial.faults else 0)


class Trial:
    """A lake with one run, what the next one should be, and all that went wrong."""

    def __init__(self, root: Path, preset: str) -> None:
        self._root, self._base = root, root / "base"
        self._first = load_settings(preset=preset, seed=1, **self._folders(self._base))
        self._second = load_settings(preset=preset, **self._folders(root / "trial"))
        self._data = load_dataset(self._second, QUIET)
        self.published = self.checks = 0
        self.seconds = 0.0
        self.faults: list[str] = []

    def prepare(self) -> None:
        """Publish the run that readers have, and measure what an uninterrupted refresh makes of it."""
        self._alone(self._first, None)
        self._seen = digest(Lake(self._first.lake).run())
        shutil.rmtree(self._first.work_dir)
        self._start_over()
        started = time.monotonic()
        self._alone(self._second, None)
        self.seconds = time.monotonic() - started
        self._wanted = digest(Lake(self._second.lake).run())
        self._start_over()

    def kill_at_boundaries(self) -> int:
        """Kill at each beginning and end of a stage or write, one after the other, until one refresh gets through."""
        for boundary in range(10_000):
            if self._alone(self._second, partial(die_at, boundary)) == 0:
                self._compare()
                return boundary
            self._check(f"boundary {boundary}")
        raise AssertionError("no refresh has so many boundaries")

    def kill_at_random(self, kills: int, seed: int) -> None:
        """Kill after random times, short ones more often, so that every part of a refresh has its share."""
        rng = np.random.default_rng(seed)
        with Progress(console).task("kills", kills) as task:
            while task.done < kills:
                moment = float(rng.random() ** 2 * self.seconds)
                if self._alone(self._second, partial(die_after, moment)) == 0:
                    self._compare()
                    continue
                self._check(f"{moment:.2f} s")
                task.advance(note=f"{self.published} published, {len(self.faults)} faults")
        if self._alone(self._second, None) == 0:
            self._compare()

    def _alone(self, settings: Settings, death: Callable[[], None] | None) -> int:
        """One refresh in a process of its own; returns its exit code."""
        process = PROCESSES.Process(target=_refresh, args=(settings, self._data, death))
        process.start()
        process.join()
        if process.exitcode not in (0, -signal.SIGKILL):
            self.faults.append(f"a refresh ended with exit code {process.exitcode}")
        return process.exitcode or 0

    def _check(self, where: str) -> None:
        """Readers see the published run, whole and unchanged."""
        self.checks += 1
        lake = Lake(self._second.lake)
        runs, before = lake.runs()["run_id"].to_list(), Lake(self._first.lake).runs()["run_id"].to_list()
        if runs != before:
            # killed after the one append that publishes: then the new run is whole
            self._compare()
            return
        self._verify(lake.run(), self._seen, where)

    def _compare(self) -> None:
        """What was published is what an uninterrupted refresh publishes; then all begins again."""
        self.published += 1
        self._verify(Lake(self._second.lake).run(), self._wanted, f"publish {self.published}")
        self._start_over()

    def _verify(self, run: Run, wanted: dict[str, str], where: str) -> None:
        try:
            run.verify()
            different = [name for name, found in digest(run).items() if found != wanted[name]]
        except Exception as error:
            different = [repr(error)]
        if different:
            self.faults.append(f"{where}: {', '.join(different)}")
            console.print(f"fault at {self.faults[-1]}")

    def _start_over(self) -> None:
        shutil.rmtree(self._root / "trial", ignore_errors=True)
        shutil.copytree(self._base / "lake", self._root / "trial" / "lake")

    @staticmethod
    def _folders(folder: Path) -> dict[str, Any]:
        return {"lake": str(folder / "lake"), "work_dir": str(folder / "work")}


def digest(run: Run) -> dict[str, str]:
    """A hash of the contents of every table, whatever the run is called."""
    found = {}
    for name in (*DATASET_TABLES, *RUN_TABLES):
        if name not in NEVER_EQUAL:
            key = [column for column in TABLES[name].primary_key() if column != "run_id"]
            rows = run.scan(name).drop("run_id", strict=False).sort(key).collect()
            found[name] = hashlib.sha256(rows.rechunk().write_ipc(None).getvalue()).hexdigest()
    return found


def die_at(boundary: int) -> None:
    """Be killed at the numbered beginning or end of a stage or a write."""
    passed = iter(range(10_000))

    def with_boundaries(original: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **options: object) -> object:
            for moment in ("before", "after"):
                if moment == "after":
                    result = original(*arguments, **options)
                if next(passed) == boundary:
                    os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    for owner, name in ((Workspace, "find"), (Lake, "_write"), (Lake, "append_once")):
        setattr(owner, name, with_boundaries(getattr(owner, name)))


def die_after(seconds: float) -> None:
    """Be killed after so long."""
    timer = threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGKILL))
    timer.daemon = True
    timer.start()


def _refresh(settings: Settings, data: Dataset, death: Callable[[], None] | None) -> None:
    if death:
        death()
    refresh(settings, QUIET, dataset=data, force=True)


if __name__ == "__main__":
    typer.run(main)
