"""Finished stages are found again, damaged ones done again, and what cannot be written is said in one sentence."""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from lake.errors import LakeError
from pipeline.engine.progress import Progress
from pipeline.engine.stage_cache import Finished, Frames, Workspace
from pipeline.settings import Settings
from tests.support.paths import REPOSITORY

TABLE = pl.DataFrame({"n": [1, 2, 3]})


@pytest.fixture
def stage(tmp_path: Path) -> Callable[[], tuple[Finished, int]]:
    """`stage()` is what the stage left, and how often it has been computed."""
    computed = []

    def compute(_: Path) -> Frames:
        computed.append(1)
        return {"table": TABLE}

    def find() -> tuple[Finished, int]:
        found = Workspace(tmp_path / "work", Settings(), Progress(quiet=True)).find("count", "f00d", compute)
        assert found.frames["table"].equals(TABLE)
        return found, len(computed)

    return find


def test_a_finished_stage_is_found_again(stage: Callable[[], tuple[Finished, int]]) -> None:
    first, _ = stage()
    again, computed = stage()
    assert (first.cost["reused"], again.cost["reused"], computed) == (0, 1, 1)
    assert again.cost["seconds"] == first.cost["seconds"]


def empty(file: Path) -> None:
    file.write_bytes(b"")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def garble(file: Path) -> None:
    file.write_bytes(b"PAR1" + bytes(200) + b"PAR1")


@pytest.mark.parametrize("damage", [empty, cut, garble])
@pytest.mark.parametrize("name", ["table.parquet", "cost.json"])
def test_a_damaged_stage_is_done_again(
    stage: Callable[[], tuple[Finished, int]], damage: Callable[[Path], None], name: str
) -> None:
    first, _ = stage()
    damage(first.folder / name)
    assert stage()[1] == 2
    assert stage()[1] == 2, "and then found"


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("")
    work = Workspace(tmp_path / "work", Settings(), Progress(quiet=True))
    with pytest.raises(LakeError, match=r"The stage count could not be written to .*work .* are untouched"):
        work.find("count", "f00d", lambda _: {"table": TABLE})


def test_a_disk_that_is_full_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    """Files of the process may not grow beyond a thousand bytes, as on a disk without space."""
    program = f"""
from pathlib import Path
import polars as pl
from lake.errors import LakeError
from pipeline.engine.progress import Progress
from pipeline.settings import Settings
from pipeline.engine.stage_cache import Workspace
work = Workspace(Path({str(tmp_path)!r}), Settings(), Progress(quiet=True))
try:
    work.find("count", "f00d", lambda _: {{"table": pl.DataFrame({{"n": [i * i % 7919 for i in range(100_000)]}})}})
except LakeError as error:
    print(error)
"""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "The stage count could not be written" in done.stdout, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["count-f00d.part"]
