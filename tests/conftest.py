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
