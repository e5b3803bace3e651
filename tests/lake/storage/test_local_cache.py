"""Copies that readers map: the same as in memory, made once, few of them, and never half of one."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from lake.query import joined_samples, sample_table
from lake.query.sample_table import read_samples
from lake.search import vectors
from lake.search.similar import Index
from lake.search.vectors import read_vectors
from lake.storage import local_cache
from lake.storage.store import Lake, Run
from tests.support.lakes.tiny_lake import build_tiny_lake
from tests.support.lakes.two_runs import SAMPLES


@pytest.fixture(scope="module")
def run(tiny_lake: str) -> Run:
    return Lake(tiny_lake).run()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the copies go, however small the run is."""
    monkeypatch.setenv("LATENTLAKE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(local_cache, "MAPPED_ABOVE", 0)
    monkeypatch.setattr(vectors, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(sample_table, "IDS_AT_ONCE", 50)
    return tmp_path / "reader"


def test_vectors_from_a_file_are_those_in_memory(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):  # written, then found
        sample_id, mapped = read_vectors(run)
        assert isinstance(mapped, np.memmap)
        assert len(list(folder.glob("*"))) == 1
    monkeypatch.setattr(local_cache, "MAPPED_ABOVE", 1000)
    ids, held = read_vectors(run)
    assert (sample_id == ids).all() and (mapped == held).all()
    here, there = Index(ids, held), Index(sample_id, mapped)
    assert there.search(there.vector([17]), 9).equals(here.search(here.vector([17]), 9))


def test_samples_from_a_file_are_those_in_memory(run: Run, folder: Path) -> None:
    wanted = joined_samples.scan_samples(run).collect()
    for _ in range(2):
        assert read_samples(run).equals(wanted)
    assert len(list(folder.glob("*.arrow"))) == 1


def test_only_the_files_of_a_kind_that_were_used_last_are_kept(lake: Lake, folder: Path) -> None:
    ids = [lake.run().run_id, *(f"2026020{day}-000000-aaaaaa" for day in (1, 2))]
    for run_id in ids[1:]:
        build_tiny_lake(lake.root, run_id=run_id, samples=SAMPLES)
    for moment, run_id in enumerate(ids, start=1):
        read_vectors(lake.run(run_id))
        read_samples(lake.run(run_id))
        for newest in sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)[-2:]:
            os.utime(newest, (moment, moment))
    kept = {f"{local_cache._name(lake.run(run_id))}.{kind}" for run_id in ids[1:] for kind in ("npy", "arrow")}
    assert {file.name for file in folder.iterdir()} == kept


def test_a_file_that_was_used_again_is_kept_before_a_newer_one(run: Run, folder: Path) -> None:
    runs = [Run(run.lake, run.facts | {"run_id": f"2026020{day}-000000-aaaaaa"}) for day in (1, 2, 3)]
    for moment, one in enumerate(runs[:2]):
        os.utime(local_cache.find_file(one, "bin", Path.touch), (moment, moment))
    used = {local_cache.find_file(one, "bin", Path.touch) for one in (runs[0], runs[2])}
    assert set(folder.iterdir()) == used


def test_without_a_place_for_the_file_all_is_in_memory(
    run: Run, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write_text("a file where the folder should be")
    assert not isinstance(read_vectors(run)[1], np.memmap)
    assert read_samples(run).equals(joined_samples.scan_samples(run).collect())


def test_a_copy_that_was_not_finished_is_not_seen(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: Path) -> None:
        file.write_bytes(b"half of one")
        raise OSError("no space left on device")

    with pytest.raises(OSError):
        local_cache.find_file(run, "arrow", fail)
    assert list(folder.iterdir()) == []
    assert sample_table.read_samples(run).height == 240


def test_a_disk_without_room_for_the_vectors_leaves_them_in_memory(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not isinstance(read_vectors(run)[1], np.memmap)
    assert list(folder.iterdir()) == []
