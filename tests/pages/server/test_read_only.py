"""Read-only: no controls that write, one line in their place, and a lake that refuses underneath."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lake.errors import LakeError
from lake.query.reviews import Review, add_reviews, drop_set, save_set, scan_reviews
from lake.storage.read_only import ReadOnlyLake
from lake.storage.store import Lake
from pages.ui.core import data
from tests.support.servers.apps import Open, failures, shown

WRITES = ("Save", "Take back", "Wrong:", "Label is fine", "Ambiguous", "Duplicate", "Exclude")
DATA = "tiny-240-0"


@pytest.fixture
def reviewed(lake_copy: Path) -> Path:
    """A lake with one verdict and one saved set."""
    run = Lake(lake_copy).run()
    add_reviews(run.lake, [Review(DATA, 3, "fine", "Ada")])
    save_set(run, "white cats", [9, 3], "Ada")
    return lake_copy


def writing_controls(app: AppTest) -> list[str]:
    """Labels of the buttons and boxes that add to the lake."""
    boxes = [box.label for box in app.text_input if box.label in ("Your name", "Name of the set", "Note")]
    return [*boxes, *(button.label for button in app.button if button.label.startswith(WRITES))]


def files(root: Path) -> set[Path]:
    return set(root.rglob("*"))


def test_a_read_only_lake_reads_as_any_other(tiny_lake: str) -> None:
    run, other = ReadOnlyLake(tiny_lake).run(), Lake(tiny_lake).run()
    assert run.facts == other.facts
    assert run.scan("predictions").collect().equals(other.scan("predictions").collect())


def test_a_read_only_lake_refuses_everything_that_writes(reviewed: Path) -> None:
    lake, before = ReadOnlyLake(reviewed), files(reviewed)
    run = lake.run()
    rows = run.scan("findings").collect()
    attempts = {
        "stage": lambda: lake.stage("findings", rows),
        "add rows": lambda: lake.add_rows("findings", rows),
        "publish": lambda: lake.publish({k: v for k, v in run.facts.items() if k != "digests"}),
        "review": lambda: add_reviews(lake, [Review(DATA, 4, "fine", "Ada")]),
        "save": lambda: save_set(run, "boats", [1], "Ada"),
        "drop": lambda: drop_set(run, "white cats", "Ada"),
        "open": lambda: lake.open_to_write("runs"),
    }
    for name, attempt in attempts.items():
        with pytest.raises(LakeError, match="served read-only: nothing can be written"):
            attempt()
        assert files(reviewed) == before, name


def test_pages_of_a_read_only_app_offer_no_writing_and_say_so(
    reviewed: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for page, place in {"data_quality": "verdicts", "similar": "saved sets"}.items():
        assert writing_controls(open_page(str(reviewed), page))
        monkeypatch.setenv("LATENTLAKE_READ_ONLY", "1")
        app = open_page(str(reviewed), page)
        assert not failures(app)
        assert writing_controls(app) == []
        assert f"This app is read-only: {place} can be neither added nor taken back." in shown(app)
        monkeypatch.delenv("LATENTLAKE_READ_ONLY")


def test_what_was_said_before_is_still_shown_when_the_app_is_read_only(
    reviewed: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTLAKE_READ_ONLY", "true")
    assert "white cats" in shown(open_page(str(reviewed), "similar"))
    tables = [table.value for table in open_page(str(reviewed), "data_quality").dataframe]
    (verdicts,) = (table for table in tables if "reviewer" in table)
    assert verdicts["verdict"].to_list() == ["fine"]


def test_a_click_that_was_offered_before_the_app_became_read_only_writes_nothing(
    lake_copy: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTLAKE_READ_ONLY", "1")
    data.open_run.clear()
    app = open_page(str(lake_copy), "data_quality")
    monkeypatch.delenv("LATENTLAKE_READ_ONLY")
    app.run()
    app.text_input(key="reviewer").set_value("Ada").run()
    next(button for button in app.button if button.label == "Label is fine").click().run()
    assert "served read-only" in app.error[0].value
    assert scan_reviews(Lake(lake_copy), DATA).collect().is_empty()
    data.open_run.clear()
