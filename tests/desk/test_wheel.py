"""The wheel in an environment of its own, served from a folder of somebody else's: as from a clone."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.support.paths import REPOSITORY
from tests.support.servers.server import serve_from

pytestmark = [pytest.mark.wheel, pytest.mark.browser]
GIVEN = os.environ.get("LATENTLAKE_TEST_WHEEL")
"""A wheel that has been built already, as `.ci/run` has one."""
OTHERS = """
[browser]
gatherUsageStats = true
[client]
showErrorDetails = "full"
toolbarMode = "developer"
[server]
address = "0.0.0.0"
port = 1
baseUrlPath = "elsewhere"
enableCORS = false
enableXsrfProtection = false
fileWatcherType = "poll"
maxUploadSize = 300
[theme]
base = "dark"
font = "monospace"
linkColor = "#ff0000"
baseFontSize = 24
[theme.light]
primaryColor = "#ff0000"
backgroundColor = "#ffff00"
"""
SETTINGS = "pages/ui/server/streamlit.toml"
SETTINGS_OF_THE_LAUNCHER = """
import json, pathlib, runpy
import pages
from streamlit import config
from streamlit.web import bootstrap, cli

def show(*_, **__):
    bootstrap.load_config_options({})
    options = config.get_config_options().items()
    print(json.dumps({name: option.value for name, option in options if option.where_defined != "<default>"}))

cli.main = show
runpy.run_path(str(pathlib.Path(pages.__file__).parent / "ui" / "server" / "launch.py"), run_name="__main__")
"""
LOOKS = """() => {
  const style = getComputedStyle(document.querySelector('[data-testid="stApp"]'));
  const heading = getComputedStyle(document.querySelector('h1'));
  const button = getComputedStyle(document.querySelector('[data-testid="stBaseButton-secondary"]'));
  const link = document.querySelector('[data-testid="stSidebarNavLink"]');
  return [style.backgroundColor, style.color, style.fontFamily, style.fontSize, heading.fontFamily, heading.fontSize,
          button.borderRadius, button.borderColor, getComputedStyle(link).color];
}"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if GIVEN:
        return Path(GIVEN)
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--outdir", str(folder), str(REPOSITORY)]
    subprocess.run(build, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`latentlake` of an environment with the wheel; what it depends on is that of the tests."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    installed = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    paths = [path for path in sys.path if path.endswith("site-packages")]
    (installed / "of_the_tests.pth").write_text("\n".join(paths))
    pip = [str(folder / "bin" / "pip"), "install", "-q", "--no-deps", "--force-reinstall", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    return folder / "bin" / "latentlake"


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory, tiny_lake: str) -> Path:
    """A folder with the lake, an app of somebody else's and modules that are called as ours are."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "lake").symlink_to(tiny_lake)
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit" / "config.toml").write_text(OTHERS)
    for name in ("pages.py", "streamlit_app.py", "pipeline.py", "altair.py", "streamlit.py"):
        (folder / name).write_text("raise SystemExit('a module of somebody else')\n")
    return folder


@pytest.fixture(scope="module")
def served(command: Path, theirs: Path) -> Iterator[str]:
    with serve_from(theirs, "--lake=lake", command=[str(command)], HOME=str(theirs), PYTHONPATH="") as address:
        yield address


def read_looks(page: Page) -> list[str]:
    page.get_by_test_id("stSidebarNavLink").first.wait_for()
    return page.evaluate(LOOKS)


def test_the_wheel_has_every_file_that_is_read_at_run_time_and_no_other(wheel: Path) -> None:
    ours = [REPOSITORY / folder for folder in ("lake", "pages", "pipeline")]
    files = {
        path for folder in ours for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    modules = {path.name for path in REPOSITORY.glob("*.py")}
    wanted = {str(path.relative_to(REPOSITORY)) for path in files} | modules
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == wanted


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_look_as_from_a_clone(scheme: str, served: str, tiny: str, opened: Any) -> None:
    problems: list[str] = []
    looks = [read_looks(opened(f"{app}/samples", scheme=scheme, problems=problems)) for app in (served, tiny)]
    assert looks[0] == looks[1]
    assert problems == []


def test_there_is_no_menu_for_developers(served: str, opened: Any) -> None:
    page = opened(f"{served}/runs")
    assert page.get_by_text("Deploy").count() == page.get_by_test_id("stMainMenu").count() == 0


def test_the_settings_of_the_server_are_those_of_the_wheel_and_no_others(command: Path, theirs: Path) -> None:
    python = [str(command.with_name("python")), "-P", "-c", SETTINGS_OF_THE_LAUNCHER]
    result = subprocess.run(
        python, cwd=theirs, env=os.environ | {"HOME": str(theirs)}, capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout) == dict(flatten(tomllib.loads((REPOSITORY / SETTINGS).read_text())))


def flatten(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Streamlit's names of the options in a file of them."""
    for name, value in section.items():
        yield from flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]


def test_relative_paths_are_those_of_the_folder_where_a_person_stands(command: Path, theirs: Path) -> None:
    (theirs / "secrets.toml").write_text("[auth]\nclient_id = 'a'\n")
    serve = [str(command), "serve", "--lake=lake", "--port=0", "--secrets=secrets.toml"]
    result = subprocess.run(serve, cwd=theirs, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "latentlake: The section [auth] of the secrets needs a cookie_secret" in result.stderr


def test_a_login_beside_the_person_is_a_login(command: Path, theirs: Path) -> None:
    file = theirs / ".streamlit" / "secrets.toml"
    file.write_text("[auth]\nclient_id = 'a'\n")
    try:
        serve = [str(command), "serve", "--lake=lake", "--port=0"]
        result = subprocess.run(serve, cwd=theirs, capture_output=True, text=True, check=False)
    finally:
        file.unlink()
    assert result.returncode == 1
    assert "latentlake: The section [auth] of the secrets needs a cookie_secret" in result.stderr
