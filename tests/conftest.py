"""What every test may ask for: lakes with one run, with one run and another staged, and with none."""

# ruff: noqa: E402 (what reads the variables is imported after they are gone)

import os

from tests.support.suite.surroundings import end_in_order, forget_theirs

THEIRS = forget_theirs(os.environ)
end_in_order()

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import polars as pl
import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Page, expect
from streamlit.testing.v1 import AppTest

from lake.storage.store import Lake
from tests.support.lakes.changed_run import build_changed_lake
from tests.support.lakes.tiny_lake import build_tiny_lake, stage_all, tiny_tables
from tests.support.lakes.two_runs import FIRST, SAMPLES, SECOND
from tests.support.servers.apps import FRAME, NAMES, Open, without_repeats
from tests.support.servers.browser import chromium, serve
from tests.support.servers.browser import open_page as open_in_browser
from tests.support.suite.maps import one_process

SLOW = [hypothesis.HealthCheck.too_slow]  # how fast a machine is, is no property of the code
hypothesis.settings.register_profile("same", deadline=None, suppress_health_check=SLOW, derandomize=True)
hypothesis.settings.register_profile("new", deadline=None, suppress_health_check=SLOW)  # of `make test-all`
hypothesis.settings.load_profile("same")
pytest_plugins = ["tests.support.suite.tiers"]
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


def pytest_configure(config: pytest.Config) -> None:
    """Raises `UsageError` where somebody's settings would be those of the commands that the tests give."""
    own = config.rootpath / "latentlake.toml"
    if own.exists():
        raise pytest.UsageError(f"{own} would be read by every command that is tested: move it away.")


def pytest_report_header() -> str | None:
    return f"left out of the environment: {', '.join(THEIRS)}" if THEIRS else None


@pytest.fixture(scope="session")
def common_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of one run of the tests have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if WORKER else base


@pytest.fixture(scope="session", autouse=True)
def one_process_fits_every_map(common_folder: Path) -> Iterator[None]:
    """A map is the same bytes in a process that has fitted others."""
    first = WORKER == "gw0"
    with one_process(common_folder / "map.lock", compiles=first) as fit, pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.measure.principal_components.fit_in_process", fit)
        yield


@pytest.fixture(scope="session", autouse=True)
def two_numbers_of_clusters_are_tried_and_few_copies_planted() -> Iterator[None]:
    """Six numbers and 800 copies are the longest parts of a refresh of a few hundred samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.measure.clustering_quality.SWEEP", (5, 10))
        patch.setattr("pipeline.checks.duplicates.PLANTED", 40)
        yield


@pytest.fixture(scope="session", autouse=True)
def pages_are_run_without_repeats() -> Iterator[None]:
    with without_repeats():
        yield


@pytest.fixture(scope="session")
def tiny_lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Root of a lake with one published run. Shared: read it, never write to it."""
    root = str(tmp_path_factory.mktemp("tiny") / "lake")
    build_tiny_lake(root)
    return root


@pytest.fixture(scope="session")
def changed_lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Root of a lake whose second run is changed in known ways. Shared: read it, never write to it."""
    root = str(tmp_path_factory.mktemp("changed") / "lake")
    build_changed_lake(root)
    return root


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if shutil.which("chromium") is None:
        pytest.skip("the browser tests need Chromium: apt-get install chromium")
    expect.set_options(timeout=30_000)  # by default 5 s, which a rerun takes on a machine that has more to do
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def tiny(tiny_lake: str) -> Iterator[str]:
    """Address of the app on the tiny lake."""
    with serve(tiny_lake) as address:
        yield address


@pytest.fixture
def opened(browser: Browser) -> Iterator[Any]:
    """`opened(url)` is a page in a browser of its own, closed after the test."""
    pages: list[Page] = []

    def open_(url: str, **options: Any) -> Page:
        pages.append(open_in_browser(browser, url, **options))
        return pages[-1]

    yield open_
    for page in pages:
        page.context.close()


@pytest.fixture
def empty_lake(tmp_path: Path) -> str:
    """Root of a lake that nothing has been staged to; the folder does not exist yet."""
    return str(tmp_path / "empty")


@pytest.fixture(scope="session")
def drawn_folder(common_folder: Path) -> Path:
    """Folder with `lake` and `work` after a refresh of the drawn dataset. Shared: copy it before writing.

    The first of the processes that run tests makes it, the others wait for it.
    """
    from pipeline.engine.progress import Progress
    from pipeline.refresh.refresh import refresh
    from tests.support.data.drawn import drawn_dataset, tiny_settings

    folder = common_folder / "drawn"
    with FileLock(f"{folder}.lock"):
        if not (folder / "complete").exists():
            refresh(tiny_settings(folder), Progress(quiet=True), dataset=drawn_dataset())
            (folder / "complete").touch()
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


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Open:
    """`open_page(root, name, **query)` is the app on that page of that lake, run once."""

    def opened(root: str, name: str = NAMES[0], **query: str) -> AppTest:
        monkeypatch.setenv("LATENTLAKE_LAKE", root)
        app = AppTest.from_file(FRAME, default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        return (app if name == NAMES[0] else app.switch_page(f"../../{name}.py")).run()

    return opened


@pytest.fixture(scope="session")
def rows(tiny_lake: str) -> pl.DataFrame:
    """Label, prediction, loss and split of every sample of the tiny lake, joined by hand."""
    run = Lake(tiny_lake).run()
    samples = run.scan("samples").select("sample_id", "split", "label", "groups")
    return run.scan("predictions").join(samples, on="sample_id").sort("sample_id").collect()


@pytest.fixture
def lake_copy(tiny_lake: str, tmp_path: Path) -> Path:
    """A copy of the tiny lake that a test may break."""
    return Path(shutil.copytree(tiny_lake, tmp_path / "copy"))
