"""Saved views: the last under a name counts, taken back by another row, none lost by two processes at once."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from dataframely.exc import ValidationError

from lake.contracts.tables import DATASET_TABLES, RUN_TABLES, TABLES, UNPINNED, key_column
from lake.contracts.views import MAX_STATE
from lake.errors import UsageError
from lake.query.saved_views import View, drop_view, save_view, saved_views, scan_views
from lake.storage.appending import append_rows
from lake.storage.store import Lake, Run
from tests.support.paths import REPOSITORY


@pytest.fixture
def run(lake_copy: Path) -> Run:
    return Lake(lake_copy).run()


def views(run: Run) -> dict[str, tuple[str, str]]:
    """Name -> sort and who saved it, the newest first."""
    rows = saved_views(scan_views(run.lake, run.dataset_id)).select("name", "sort", "saved_by").collect()
    return {name: (sort, saved_by) for name, sort, saved_by in rows.iter_rows()}


def test_a_view_is_read_back_as_it_was_saved(run: Run) -> None:
    view = View("hard cats", "Ada", "to relabel", "label.is.cat", "label,loss", "-loss", "label,predicted")
    save_view(run, view)
    row = saved_views(scan_views(run.lake, run.dataset_id)).collect().row(0, named=True)
    assert {name: row[name] for name in view.__dataclass_fields__} == view.__dict__
    assert (row["run_id"], row["dataset_id"], row["undoes"]) == (run.run_id, run.dataset_id, None)
    assert row["saved_at"].tzinfo is not None


def test_before_the_first_view_there_is_none(run: Run) -> None:
    assert views(run) == {}


def test_the_last_view_of_a_name_counts_and_the_newest_comes_first(run: Run) -> None:
    save_view(run, View("cats", "Ada", sort="loss"))
    save_view(run, View("dogs", "Bob", sort="margin"))
    save_view(run, View(" cats ", "Bob", sort="-loss"))
    assert views(run) == {"cats": ("-loss", "Bob"), "dogs": ("margin", "Bob")}
    assert list(views(run)) == ["cats", "dogs"]


def test_a_view_that_is_taken_back_is_gone_with_all_it_replaced_and_can_be_saved_again(run: Run) -> None:
    for sort in ("loss", "-loss"):
        save_view(run, View("cats", "Ada", sort=sort))
    drop_view(run, "cats", "Bob")
    drop_view(run, "never saved", "Bob")
    assert views(run) == {}
    save_view(run, View("cats", "Cem", sort="margin"))
    assert views(run) == {"cats": ("margin", "Cem")}


def test_a_view_that_was_saved_while_another_was_taken_back_stays(run: Run) -> None:
    """Only what was seen is taken back: here the first row, by the row that names it."""
    save_view(run, View("cats", "Ada", sort="loss"))
    (first,) = scan_views(run.lake, run.dataset_id).collect().iter_rows(named=True)
    save_view(run, View("cats", "Bob", sort="-loss"))
    undone = {name: first[name] for name in ("dataset_id", "name", "filter", "columns", "sort", "pivot", "note")}
    append_rows(run.lake, "views", [undone | {"saved_by": "Ada", "undoes": first["view_id"]}], moment="saved_at")
    assert views(run) == {"cats": ("-loss", "Bob")}


def test_rows_are_only_ever_added(run: Run) -> None:
    save_view(run, View("cats", "Ada"))
    before = scan_views(run.lake, run.dataset_id).collect()
    save_view(run, View("cats", "Bob"))
    drop_view(run, "cats", "Bob")
    after = scan_views(run.lake, run.dataset_id).collect()
    assert after.head(1).equals(before) and len(after) == 4
    assert {action["operationParameters"]["mode"] for action in run.lake.open("views").history()} == {"Append"}


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (View("  ", "Ada"), "needs a name"),
        (View("cats", " "), "needs the name of the person"),
        (View("cats", "Ada", filter="x" * (MAX_STATE + 1)), "too long"),
    ],
)
def test_an_incomplete_view_is_refused_and_nothing_is_written(run: Run, view: View, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        save_view(run, view)
    assert views(run) == {}


def test_the_contract_refuses_a_view_without_a_name(run: Run) -> None:
    save_view(run, View("cats", "Ada"))
    row = scan_views(run.lake, run.dataset_id).collect()
    with pytest.raises(ValidationError):
        TABLES["views"].validate(row.with_columns(name=pl.lit("")))


def test_views_belong_to_a_dataset_and_to_no_run(run: Run) -> None:
    assert key_column("views") == "dataset_id"
    assert "views" in UNPINNED and "views" not in (*DATASET_TABLES, *RUN_TABLES)
    save_view(run, View("cats", "Ada"))
    assert scan_views(run.lake, "another").collect().is_empty()


@pytest.mark.long
def test_two_processes_at_once_lose_no_view(tiny_lake: str, tmp_path: Path) -> None:
    root = shutil.copytree(tiny_lake, tmp_path / "copy")
    program = f"""
import sys
from lake.storage.store import Lake
from lake.query.saved_views import View, save_view
run = Lake({str(root)!r}).run()
for i in range(20):
    save_view(run, View(f"{{sys.argv[1]}} {{i}}", sys.argv[1]))
"""
    commands = [[sys.executable, "-c", program, name] for name in ("Ada", "Bob")]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda c: subprocess.run(c, cwd=REPOSITORY, capture_output=True, check=False), commands))
    assert [result.returncode for result in done] == [0, 0], [result.stderr.decode()[-500:] for result in done]
    assert len(scan_views(Lake(root), "tiny-240-0").collect()) == 40
    assert set(views(Lake(root).run())) == {f"{name} {i}" for name in ("Ada", "Bob") for i in range(20)}
