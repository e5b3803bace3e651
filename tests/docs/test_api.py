"""From python: the example of the README runs, a refresh returns what readers see, and errors say what to do."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import structlog
import torch

import lake
import latentlake
from lake.errors import UsageError
from lake.query import joined_samples
from lake.storage.store import Lake
from lake.text.formatting import percent
from pipeline.commands.python_use import read_arguments, refresh_here
from pipeline.settings import load_settings
from tests.support.data.drawn import drawn_dataset, tiny_settings
from tests.support.paths import REPOSITORY

README = (REPOSITORY / "README.md").read_text()


@pytest.fixture
def folder(drawn_folder: Path, tmp_path: Path) -> Path:
    """A copy that may be refreshed."""
    return Path(shutil.copytree(drawn_folder, tmp_path / "drawn"))


def test_the_example_of_the_readme_runs(tiny_lake: str) -> None:
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", README, flags=re.S) if "latentlake" in block)
    lines = [line for line in example.splitlines() if "refresh(" not in line]
    found: dict[str, object] = {}
    exec("\n".join(lines).replace("data/lake", tiny_lake), found)
    worst = found["worst"]
    assert isinstance(worst, pl.DataFrame)
    held_out = joined_samples.scan_samples(Lake(tiny_lake).run()).filter("out_of_sample").collect()
    assert worst["loss"].to_list() == held_out["loss"].sort(descending=True, nulls_last=True).head(20).to_list()


def test_what_is_scanned_is_lazy_and_of_the_run(tiny_lake: str) -> None:
    run = lake.open(tiny_lake).run("latest")
    scanned = run.scan("predictions")
    assert isinstance(scanned, pl.LazyFrame)
    assert scanned.select("run_id").unique().collect().item() == run.run_id


def test_a_refresh_returns_the_run_that_readers_see(folder: Path) -> None:
    run = latentlake.refresh(tiny_settings(folder), dataset=drawn_dataset())
    assert run.run_id == lake.open(str(folder / "lake")).run().run_id, "nothing is new, so it is the one before"


@pytest.mark.parametrize(
    ("config", "dataset", "values"),
    [
        ({"preset": "smoke", "seed": 5}, "photos", {"neighbors": 7}),
        ("own.toml", {"source": "photos"}, {"preset": "smoke"}),
        (Path("own.toml"), Path("photos"), {"preset": "smoke"}),
        (None, None, {"dataset": {"source": "photos"}, "preset": "smoke", "seed": 5, "neighbors": 7}),
    ],
)
def test_settings_come_as_file_dict_and_keywords(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: object, dataset: object, values: dict[str, object]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text('preset = "quick"\nseed = 5\nneighbors = 7\n[dataset]\nsource = "other"\n')
    dataset = values.pop("dataset", dataset)
    settings, whole = read_arguments(config, dataset, values)
    assert whole is None and settings.dataset
    found = (settings.preset, settings.seed, settings.neighbors, settings.dataset.source)
    assert found == ("smoke", 5, 7, Path("photos"))


@pytest.mark.parametrize(
    ("config", "values", "sentence"),
    [
        (3, {}, "config is a int: expected the path or contents of a settings file"),
        (None, {"dataset": 4}, "dataset is a int: expected the path of a folder, CSV"),
        (None, {"dataset": ""}, "dataset is a str: expected the path"),
        (None, {"dataset": {"sourc": "x"}}, "dataset.sourc = 'x'"),
        ({"sed": 1}, {}, "'sed' is not a setting"),
        ({4: 1}, {}, "4 is not a setting"),
        (None, {"config_file": "x"}, "'config_file' is not a setting"),
        ({"seed": "one"}, {}, "seed = 'one': "),
        ("nowhere.toml", {}, "The settings file nowhere.toml does not exist"),
        (load_settings(), {"seed": 1}, "seed has no effect when config is a Settings object"),
        (load_settings(), {"dataset": "x"}, "dataset has no effect when config is a Settings object"),
    ],
)
def test_what_cannot_be_right_is_one_sentence(config: object, values: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)) as raised:
        latentlake.refresh(config, **values)
    assert "\n" not in str(raised.value)


def test_a_refresh_leaves_torch_and_the_log_as_they_were(folder: Path) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(threads + 1)
    latentlake.refresh(tiny_settings(folder), dataset=drawn_dataset())
    assert torch.get_num_threads() == threads + 1 and torch.equal(torch.get_rng_state(), state)
    torch.set_num_threads(threads)
    assert not structlog.is_configured()


@pytest.mark.parametrize(("found", "said"), [(None, False), (Path("latentlake.toml"), True)])
def test_a_settings_file_that_nobody_named_is_said(
    folder: Path, found: Path | None, said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    refresh_here(tiny_settings(folder), drawn_dataset(), settings_file=found)
    assert ("Settings from latentlake.toml." in capsys.readouterr().err) == said


def test_a_run_and_a_lake_print_what_they_are(tiny_lake: str, empty_lake: str, lake_copy: Path) -> None:
    run = Lake(tiny_lake).run()
    accuracy = run.metric("score", "test_accuracy")
    assert repr(run) == (
        f"<Run {run.run_id}: {run.facts['dataset_name']}, {run.scan('samples').collect().height:,} samples of "
        f"{len(run.classes)} classes; published {run.facts['published_at']:%Y-%m-%d %H:%M} UTC; "
        f"test accuracy {percent(accuracy or 0)}>"
    )
    assert repr(Lake(tiny_lake)) == f"<Lake {tiny_lake}: 1 published run, latest {run.run_id}>"
    assert repr(Lake(empty_lake)) == f"<Lake {empty_lake}: no published run yet>"
    damaged = Lake(lake_copy).run()
    shutil.rmtree(lake_copy / "metrics")
    assert repr(damaged).endswith(" UTC>")
    shutil.rmtree(lake_copy / "runs" / "_delta_log")
    assert repr(Lake(lake_copy)).startswith(f"<Lake {lake_copy}: ")


@pytest.mark.parametrize("run_id", [None, 5, "nonsense"])
def test_what_is_not_there_is_answered_with_what_is(tiny_lake: str, run_id: Any) -> None:
    lake = latentlake.open(tiny_lake)
    latest = lake.run().run_id
    with pytest.raises(latentlake.UserError, match=f"has no run '{run_id}': the latest is {latest}; `latentlake runs"):
        lake.run(run_id)
    names: list[Any] = ["nosuch", "reviews", None, ["samples"]]
    for name in names:
        with pytest.raises(latentlake.UserError, match=r"A run has no table .*: its tables are samples, images, "):
            lake.run().scan(name)
    with pytest.raises(latentlake.UserError, match="lake = 'foo://bar': foo:// is not a known object store"):
        latentlake.open("foo://bar")


def test_without_the_training_packages_a_refresh_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pipeline.refresh.refresh", None)
    with pytest.raises(latentlake.UserError, match=r"pip install '.\[train\]'"):
        latentlake.refresh(preset="smoke")


def test_the_module_is_installed() -> None:
    found = importlib.util.find_spec("latentlake")
    assert found and found.origin and Path(found.origin).name == "latentlake.py"
