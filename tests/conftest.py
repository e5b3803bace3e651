"""What every test may ask for: a lake with one run, built once, and one with none."""

from pathlib import Path

import pytest

from tests.tiny_lake import build_tiny_lake


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
