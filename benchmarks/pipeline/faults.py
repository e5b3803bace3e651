"""Kill a refresh at any moment: do readers ever see harm, and does the next refresh end as if nothing had happened?

    .venv/bin/python -m benchmarks.pipeline.faults --kills 100

Publishes a run, then starts a refresh towards another run and kills it with SIGKILL: at the start and end of every
stage and of every write to the lake, then at random moments (seeded). After each kill the published run is read in full
and checked against its contracts, checksums and contents. Whenever a refresh completes, its result is compared with
that of an uninterrupted refresh, and the next one starts from scratch. Takes an hour and a half on two cores.
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
"""Tables that contain durations."""


def main(
    kills: Annotated[int, typer.Option(help="At random moments.")] = 100,
    seed: Annotated[int, typer.Option(help="Of those moments.")] = 0,
    preset: Annotated[str, typer.Option(help="Of the refresh that is killed.")] = "smoke",
    boundaries: Annotated[bool, typer.Option(help="Kill at beginnings and ends of stages and writes too.")] = True,
) -> None:
    """Print how often and where the refresh was killed, and the faults found; exit 1 if there are any."""
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
    """A lake with one run, the expected next run, and all faults found."""

    def __init__(self, root: Path, preset: str) -> None:
        self._root, self._base = root, root / "base"
        self._first = load_settings(preset=preset, seed=1, **self._folders(self._base))
        self._second = load_settings(preset=preset, **self._folders(root / "trial"))
        self._data = load_dataset(self._second, QUIET)
        self.published = self.checks = 0
        self.seconds = 0.0
        self.faults: list[str] = []

    def prepare(self) -> None:
        """Publish the run that readers see, and record the result of an uninterrupted refresh."""
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
        """Kill at the start and end of each stage and write, one after the other, until a refresh completes."""
        for boundary in range(10_000):
            if self._alone(self._second, partial(die_at, boundary)) == 0:
                self._compare()
                return boundary
            self._check(f"boundary {boundary}")
        raise AssertionError("no refresh has so many boundaries")

    def kill_at_random(self, kills: int, seed: int) -> None:
        """Kill after random times, more often after short ones, so that every part of a refresh is covered."""
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
        """Run one refresh in a separate process; returns its exit code."""
        process = PROCESSES.Process(target=_refresh, args=(settings, self._data, death))
        process.start()
        process.join()
        if process.exitcode not in (0, -signal.SIGKILL):
            self.faults.append(f"a refresh ended with exit code {process.exitcode}")
        return process.exitcode or 0

    def _check(self, where: str) -> None:
        """Check that readers see the published run, complete and unchanged."""
        self.checks += 1
        lake = Lake(self._second.lake)
        runs, before = lake.runs()["run_id"].to_list(), Lake(self._first.lake).runs()["run_id"].to_list()
        if runs != before:
            # killed after the append that publishes: the new run must be complete
            self._compare()
            return
        self._verify(lake.run(), self._seen, where)

    def _compare(self) -> None:
        """Check that the published run equals that of an uninterrupted refresh, then start over."""
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
    """A hash of the contents of every table, independent of the id of the run."""
    found = {}
    for name in (*DATASET_TABLES, *RUN_TABLES):
        if name not in NEVER_EQUAL:
            key = [column for column in TABLES[name].primary_key() if column != "run_id"]
            rows = run.scan(name).drop("run_id", strict=False).sort(key).collect()
            found[name] = hashlib.sha256(rows.rechunk().write_ipc(None).getvalue()).hexdigest()
    return found


def die_at(boundary: int) -> None:
    """Kill this process at the given start or end of a stage or write."""
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
    """Kill this process after the given time."""
    timer = threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGKILL))
    timer.daemon = True
    timer.start()


def _refresh(settings: Settings, data: Dataset, death: Callable[[], None] | None) -> None:
    if death:
        death()
    refresh(settings, QUIET, dataset=data, force=True)


if __name__ == "__main__":
    typer.run(main)
