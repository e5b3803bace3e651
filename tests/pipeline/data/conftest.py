"""120 drawn images as files, and in a folder."""

from pathlib import Path

import pytest

from tests.support.data.own_data import draw_files, write_folder


@pytest.fixture
def files() -> dict[str, tuple[bytes, str]]:
    return draw_files()


@pytest.fixture
def folder(files: dict[str, tuple[bytes, str]], tmp_path: Path) -> Path:
    return write_folder(tmp_path / "shapes", files)
