"""The settings file of a folder: found by every command, python and the pages, and told; paths as people write them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any
from unittest import mock

import pytest

import latentlake
from lake.errors import UsageError
from lake.storage.places import command, default_root
from lake.storage.user_caches import user_caches
from pipeline.config import caches
from pipeline.settings import Settings, load_settings
from tests.support.paths import REPOSITORY


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a settings file, and a home folder beside it."""
    (tmp_path / "latentlake.toml").write_text('preset = "smoke"\nlake = "my lake"\nseed = 3\n', encoding="utf-8-sig")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment
    program = [sys.executable, "-c", "from pipeline.start import main; main()", *arguments]
    return subprocess.run(program, cwd=folder, env=variables, capture_output=True, encoding="utf-8", check=False)


def test_a_command_uses_the_file_and_says_so_and_where_each_value_came_from(folder: Path) -> None:
    done = run(folder, "config", "--set", "neighbors=7", LATENTLAKE_THREADS="2")
    assert done.returncode == 0 and "Settings from latentlake.toml." in done.stderr, done.stderr
    said = json.loads(done.stdout)
    assert (said["lake"], said["seed"], said["neighbors"], said["threads"]) == ("my lake", 3, 7, 2)
    names = ("seed", "neighbors", "threads", "samples", "folds")
    file = str(folder / "latentlake.toml")
    origins = [file, "flag", "environment variable LATENTLAKE_THREADS", "preset smoke", "default"]
    assert [said["sources"][name] for name in names] == origins


def test_an_empty_lake_is_told_with_a_command_that_fills_it_from_here(folder: Path) -> None:
    assert "yet: run `latentlake refresh`." in run(folder, "status").stderr
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    told = run(elsewhere, "status", "--config", "../latentlake.toml").stderr
    assert f"run `latentlake refresh --config {quote(f'{elsewhere}/../latentlake.toml')}`." in told
    told = run(folder, "status", "--lake", "other").stderr
    assert f"run `latentlake refresh --lake {quote(f'{folder}/other')}`." in told


def test_another_file_is_named_by_config_or_the_environment_and_none_by_dev_null(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "other.toml").write_text("seed = 4\n")
    assert load_settings().seed == 3
    monkeypatch.setenv("LATENTLAKE_CONFIG", "other.toml")
    assert (load_settings().seed, load_settings(Path("latentlake.toml")).seed) == (4, 3)
    assert load_settings(Path(os.devnull)).seed == 0


def test_the_pages_read_the_lake_of_the_file_unless_the_environment_names_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LATENTLAKE_LAKE", raising=False)
    assert default_root() == "my lake"
    assert command("refresh", default_root()) == "latentlake refresh"
    monkeypatch.setenv("LATENTLAKE_LAKE", "~/lake")
    assert default_root() == f"{folder}/home/lake"
    assert command("refresh", "/a b") == "latentlake refresh --lake '/a b'"
    assert command("refresh", "lake") == f"latentlake refresh --lake {quote(f'{folder}/lake')}"
    assert command("refresh", "s3://bucket/lake/") == "latentlake refresh --lake s3://bucket/lake"
    (folder / "latentlake.toml").write_text('lake = "s3://bucket/lake/"\n')
    assert command("refresh", "s3://bucket/lake") == "latentlake refresh"


def test_relative_paths_of_a_file_count_from_the_working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    assert load_settings(folder / "latentlake.toml").lake == "my lake"


def load_with(name: str, value: str) -> Settings:
    """The settings with that one given."""
    given: dict[str, Any] = {name: value}
    return load_settings(**given)


@pytest.mark.parametrize("name", ["lake", "work_dir", "cache_dir", "data_dir", "new_data", "checkpoint"])
def test_a_home_folder_is_found_from_every_source(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = str(folder / "home" / "x")
    assert str(getattr(load_with(name, "~/x"), name)) == expected
    assert str(getattr(load_with(name, f"file://{folder}/home/x"), name)) == expected
    (folder / "latentlake.toml").write_text(f'{name} = "~/x"\n')
    assert str(getattr(load_settings(), name)) == expected
    monkeypatch.setenv(f"LATENTLAKE_{name.upper()}", "~/x")
    (folder / "latentlake.toml").write_text("")
    assert str(getattr(load_settings(), name)) == expected
    own = load_settings(dataset={"source": "~/x"}).dataset
    assert own is not None and own.source == Path(expected)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("~nobody-here/x", "the home folder of ~nobody-here is not known"),
        ("C:\\photos", "this is a Windows path"),
        ("\\\\server\\photos", "this is a Windows path"),
        ("file://server/photos", "a path|address|file URL"),
        ("", "a path must not be empty"),
        ("http://host/x", "a path|http:// is not a known object store; the known ones are s3, s3a, gs, az, "),
    ],
)
@pytest.mark.parametrize("name", ["lake", "work_dir"])
def test_what_is_no_path_here_is_one_sentence(folder: Path, name: str, path: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=rf"^Settings: {name} = .*({sentence})"):
        load_with(name, path)
    assert sorted(p.name for p in folder.iterdir()) == ["latentlake.toml"]


@pytest.mark.parametrize("given", [5, None, b"x", ["x"], {"x": 1}, 1.5])
def test_what_is_no_text_names_no_lake(folder: Path, given: object) -> None:
    with pytest.raises(UsageError, match=r"^lake = .*: a path must be text, but this is "):
        latentlake.open(given)  # type: ignore[arg-type]
    if given is not None:
        with pytest.raises(UsageError, match=r"^Settings: lake = .*: a path must be text, but this is "):
            load_settings(lake=given)
    if not isinstance(given, bytes | None):
        written = json.dumps(given).replace(":", " =")
        (folder / "latentlake.toml").write_text(f"lake = {written}\n")
        for ask in (default_root, load_settings, lambda: command("refresh", "x")):
            with pytest.raises(UsageError, match=r"lake = .*: a path must be text, but this is "):
                ask()


@pytest.mark.parametrize("name", ["~", "~/x"])
def test_an_empty_home_is_none(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")
    with pytest.raises(UsageError, match="the home folder of ~ is not known: write the full path"):
        load_settings(lake=name)
    assert user_caches() is None


def test_packages_get_caches_in_the_work_folder_but_for_those_that_somebody_named(tmp_path: Path) -> None:
    named = {"HOME": "", "npm_config_cache": "mine"}
    with mock.patch.dict(os.environ, named, clear=True):
        caches.settle(tmp_path)
        found = dict(os.environ)
    places = {"XDG_CACHE_HOME": "", "NUMBA_CACHE_DIR": "numba", "MPLCONFIGDIR": "matplotlib"}
    assert found == named | {name: str(tmp_path / "cache" / place) for name, place in places.items()}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (Path.mkdir, "is a folder"),
        (os.mkfifo, "is a pipe or device, which can be read only once"),
        (lambda path: path.symlink_to("gone.toml"), r"does not exist \(a link to gone\.toml\)"),
        (lambda path: path.symlink_to(path), "cannot be read"),
    ],
    ids=["folder", "pipe", "link", "loop"],
)
def test_what_has_the_name_of_the_file_and_is_none_is_refused(
    folder: Path, make: Callable[[Path], None], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, hint in (("latentlake.toml", "fix, rename or remove it"), ("other.toml", "name a TOML file")):
        (folder / name).unlink(missing_ok=True)
        make(folder / name)
        for ask in (load_settings, latentlake.refresh):
            with pytest.raises(UsageError, match=rf"^The settings file {name} {sentence}.*: {hint}\."):
                ask(*([] if name == "latentlake.toml" else [Path(name)]))
    with pytest.raises(UsageError, match="check LATENTLAKE_CONFIG"):
        monkeypatch.setenv("LATENTLAKE_CONFIG", "other.toml")
        load_settings()


@pytest.mark.parametrize("named", ["", "."])
def test_a_folder_named_from_python_is_refused(folder: Path, named: str) -> None:
    with pytest.raises(UsageError, match=r"^The settings file \. is a folder: name a TOML file"):
        latentlake.refresh(named)


def test_names_are_utf_8_in_a_locale_without_it(folder: Path) -> None:
    done = run(folder, "config", "--set", "model=ö", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "ö"
