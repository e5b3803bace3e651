"""What every test may ask for: lakes with one run, with one run and another staged, and with none."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from lake.store import Lake
from tests.tiny_lake import build_tiny_lake, stage_all, tiny_tables
from tests.two_runs import FIRST, SAMPLES, SECOND


@pytest.fixture(scope="session")
def tiny_lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Root of a lake with one published run. Shared: read it, never write to it."""
    root = str(tmp_path_factory.mktemp("tiny") / "lake")
    build_tiny_lake(root)
    return root


@pytest.fixture
def empty_lake(tmp_path: Path) -> str:
    """Root of a lake that nothing has been staged to; the folder does not exist yet."""
    return str(tmp_path / "empty")


@pytest.fixture(scope="session")
def drawn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `lake` and `work` after a refresh of the drawn dataset. Shared: copy it before writing."""
    from pipeline.progress import Progress
    from pipeline.refresh import refresh
    from tests.drawn import drawn_dataset, tiny_settings

    folder = tmp_path_factory.mktemp("drawn")
    refresh(tiny_settings(folder), Progress(quiet=True), dataset=drawn_dataset())
    return folder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = str(tmp_path_factory.mktemp("built") / "lake")
    build_tiny_lake(root, run_id=FIRST, samples=SAMPLES)
    return root


@pytest.fixture
def lake(built: str, tmp_path: Path) -> Lake:
    """A lake of its own with one run, `FIRST`."""
    shutil.copytree(built, tmp_path / "lake")
    return Lake(tmp_path / "lake")


@pytest.fixture(scope="session")
def built_and_staged(built: str, tmp_path_factory: pytest.TempPathFactory, tables: dict[str, pl.DataFrame]) -> str:
    root = tmp_path_factory.mktemp("staged") / "lake"
    shutil.copytree(built, root)
    stage_all(Lake(root), tables)
    return str(root)


@pytest.fixture
def staged_lake(built_and_staged: str, tmp_path: Path) -> Lake:
    """A lake of its own with `FIRST` published and `SECOND` staged."""
    shutil.copytree(built_and_staged, tmp_path / "lake")
    return Lake(tmp_path / "lake")


@pytest.fixture(scope="session")
def tables() -> dict[str, pl.DataFrame]:
    """The tables of a second run on the same dataset."""
    return tiny_tables(run_id=SECOND, samples=SAMPLES)
