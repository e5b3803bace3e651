"""From python: the example of the README runs, a refresh returns what readers see, and errors say what to do."""

import importlib.util
import re
import sys
from pathlib import Path

import polars as pl
import pytest

import lake
import latentlake
from lake import queries
from lake.store import Lake
from tests.drawn import drawn_dataset, tiny_settings

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_example_of_the_readme_runs(tiny_lake: str) -> None:
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", README, flags=re.S) if "latentlake" in block)
    lines = [line for line in example.splitlines() if "refresh(" not in line]
    found: dict[str, object] = {}
    exec("\n".join(lines).replace("data/lake", tiny_lake), found)
    worst = found["worst"]
    assert isinstance(worst, pl.DataFrame)
    held_out = queries.scan_samples(Lake(tiny_lake).run()).filter("out_of_sample").collect()
    assert worst["loss"].to_list() == held_out["loss"].sort(descending=True, nulls_last=True).head(20).to_list()


def test_what_is_scanned_is_lazy_and_of_the_run(tiny_lake: str) -> None:
    run = lake.open(tiny_lake).run("latest")
    scanned = run.scan("predictions")
    assert isinstance(scanned, pl.LazyFrame)
    assert scanned.select("run_id").unique().collect().item() == run.run_id


def test_a_refresh_returns_the_run_that_readers_see(drawn_folder: Path) -> None:
    run = latentlake.refresh(tiny_settings(drawn_folder), dataset=drawn_dataset())
    assert run.run_id == lake.open(str(drawn_folder / "lake")).run().run_id, "nothing is new, so it is the one before"


def test_without_the_training_packages_a_refresh_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pipeline.refresh", None)
    with pytest.raises(latentlake.UserError, match=r"pip install '.\[train\]'"):
        latentlake.refresh(preset="smoke")


def test_the_module_is_installed() -> None:
    found = importlib.util.find_spec("latentlake")
    assert found and found.origin and Path(found.origin).name == "latentlake.py"
