"""Lakes of earlier releases are opened, verified, shown, refreshed and compared by this version."""

import re
import shutil
from pathlib import Path

import pytest

from lake.query import joined_samples
from lake.storage.store import Lake
from pipeline.commands.compare import summarise
from pipeline.engine.progress import Progress
from pipeline.refresh.refresh import refresh
from pipeline.settings import load_settings
from tests.support.lakes.released import PHOTOS, RELEASES, unpack
from tests.support.paths import REPOSITORY
from tests.support.servers.apps import NAMES, Open, failures

ARCHIVES = {archive.name.removesuffix(".tar.xz"): archive for archive in sorted(RELEASES.glob("*.tar.xz"))}
QUIET = Progress(quiet=True)


@pytest.fixture(scope="module", params=ARCHIVES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a release: photos, settings and lake. Shared: copy it before writing."""
    return unpack(ARCHIVES[request.param], tmp_path_factory.mktemp("release"))


def test_a_lake_of_every_release_is_kept() -> None:
    released = re.findall(r"^## (\d+\.\d+\.\d+)", (REPOSITORY / "CHANGELOG.md").read_text(), flags=re.M)
    assert released and set(released) == set(ARCHIVES)


def test_its_run_is_read_whole_and_verified(folder: Path) -> None:
    run = Lake(folder / "lake").run()
    assert run.verify() > 0
    rows = joined_samples.scan_samples(run).collect()
    assert len(rows) == PHOTOS
    assert rows["loss"].is_finite().all() and rows["x", "y"].null_count().sum_horizontal().item() == 0


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_every_page_shows_it(folder: Path, name: str, open_page: Open) -> None:
    assert not failures(open_page(str(folder / "lake"), name))


@pytest.mark.long
def test_it_is_refreshed_once_and_compared(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of before stages were recognised by their code is kept, a later one while the code of its training is."""
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "own"))
    lake = Lake("lake")
    before = lake.run()
    refresh(load_settings(), QUIET)
    now = lake.run()
    if before.facts["code_version"] == "0.1.0":
        old, new = (run.scan("models").drop("run_id").collect() for run in (before, now))
        assert len(old) and old.equals(new)
    assert lake.run(before.run_id).verify() > 0 and now.verify() > 0
    assert not refresh(load_settings(), QUIET).published
    if now.run_id != before.run_id:
        found = summarise(now, before)
        assert found["same_data"] and found["before"] == before.run_id
