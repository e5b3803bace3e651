"""Mapping over batches: the same numbers here and by Ray, in order, each once, also where a worker dies."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.errors import UsageError
from lake.search.ann_index import SearchIndex
from lake.search.vectors import to_unit
from lake.storage.store import Lake
from pipeline.engine.batch_map import Batch, cut, map_batches
from pipeline.engine.progress import Progress
from pipeline.measure.ann_index import build_index
from pipeline.measure.neighbors import search_neighbors
from pipeline.refresh.refresh import refresh
from tests.support.data.drawn import drawn_dataset, take_training, tiny_settings
from tests.support.lakes.two_runs import contents
from tests.support.processes.python import OWN, executed, run_python, write_own

QUIET = Progress(quiet=True)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")  # it warns of its own settings
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed")


BESIDE_OWN = """
import latentlake_packages, numpy
for name in ("lake", "pipeline"): latentlake_packages.load(name)
from pipeline.engine.batch_map import map_batches
from pipeline.engine.progress import Progress
from pipeline.settings import Settings
make = lambda: lambda batch: {"half": batch["number"] / 2}
numbers = {"number": numpy.arange(3)}
settings = Settings(executor="ray", threads=1)
found = map_batches("half", make, (), [numbers], count=3, settings=settings, progress=Progress(quiet=True))
print(found["half"].tolist())
"""


class Half:
    """Half of each number, with the process that halved it; ends its process once where it finds the file."""

    def __init__(self, trap: Path) -> None:
        self._trap = trap

    def __call__(self, batch: Batch) -> Batch:
        if 50 in batch["number"] and self._trap.exists():
            self._trap.unlink()
            os._exit(1)
        return {"half": batch["number"] / 2, "process": np.full(len(batch["number"]), os.getpid())}


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """Ray on this machine, with two CPUs."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    yield
    ray.shutdown()


def halve(count: int, trap: Path, **settings: object) -> Batch:
    numbers = np.arange(count)
    given: dict[str, Any] = {
        "count": count,
        "settings": tiny_settings(trap.parent, threads=1, **settings),
        "progress": QUIET,
    }
    return map_batches("half", Half, (trap,), cut(lambda part: {"number": numbers[part]}, count, 7), **given)


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_here_every_row_is_mapped_once_and_in_order(count: int, tmp_path: Path) -> None:
    found = halve(count, tmp_path / "no trap")
    assert (found["half"] == np.arange(count) / 2).all()
    assert set(found["process"]) <= {os.getpid()}


@needs_ray
@pytest.mark.parametrize("count", [0, 1, 100])
def test_ray_maps_every_row_once_and_in_order_in_other_processes(count: int, tmp_path: Path, ray_here: None) -> None:
    found = halve(count, tmp_path / "no trap", executor="ray")
    assert (found["half"] == np.arange(count) / 2).all()
    assert os.getpid() not in found["process"]


@pytest.mark.long
@needs_ray
def test_what_a_dead_worker_had_is_done_again_and_nothing_twice(tmp_path: Path, ray_here: None) -> None:
    trap = tmp_path / "trap"
    trap.touch()
    found = halve(100, trap, executor="ray")
    assert not trap.exists()
    assert (found["half"] == np.arange(100) / 2).all()


@needs_ray
def test_files_of_a_person_beside_the_script_are_not_run_by_workers(tmp_path: Path) -> None:
    write_own(tmp_path, *OWN)
    (tmp_path / "go.py").write_text(BESIDE_OWN)
    done = run_python("go.py", folder=tmp_path)
    assert done.stdout == "[0.0, 0.5, 1.0]\n", done.stderr
    assert executed(tmp_path) == []


@needs_ray
def test_neighbours_that_an_index_proposes_are_the_same_by_ray(tmp_path: Path, ray_here: None) -> None:
    unit_ND = to_unit(np.random.default_rng(0).normal(size=(5000, 16)))
    index = SearchIndex.read([build_index(unit_ND)], unit_ND.shape)
    found = [
        search_neighbors(unit_ND, 5, tiny_settings(tmp_path, threads=1, executor=executor), QUIET, index=index)
        for executor in ("local", "ray")
    ]
    assert np.array_equal(found[0][0], found[1][0]) and np.array_equal(found[0][1], found[1][1])


@pytest.mark.long
@needs_ray
def test_a_refresh_by_ray_publishes_what_one_here_does(tmp_path: Path, drawn_folder: Path, ray_here: None) -> None:
    take_training(drawn_folder, tmp_path)  # no part of what Ray does
    refresh(tiny_settings(tmp_path, executor="ray"), QUIET, dataset=drawn_dataset())
    runs = [Lake(f"{folder}/lake").run() for folder in (drawn_folder, tmp_path)]
    assert runs[1].verify() > 0
    here, by_ray = ({name: _without_run(rows) for name, rows in contents(run).items()} for run in runs)
    assert {name for name in here if here[name] != by_ray[name]} <= {"metrics"}  # it holds seconds


def test_without_ray_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install '\.\[ray\]'"):
        halve(3, tmp_path / "no trap", executor="ray")


def _without_run(table: str) -> list[dict[str, object]]:
    frame = pl.read_json(table.encode())
    return frame.drop("run_id", strict=False).to_dicts()
