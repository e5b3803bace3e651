"""The banner over a page: none newer for longer than the run allows; and the footer under it."""

import datetime as dt
import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from lake.storage.store import Lake
from pages.ui.core import data
from pages.ui.frame.frame import name_runs
from pages.ui.frame.freshness import ago
from tests.support.lakes.changed_run import LATER
from tests.support.lakes.raw_tables import read_raw, write_raw
from tests.support.servers.apps import Open

OLD = (
    "Nothing newer has been published for {} days. The log of the refresh says whether it found nothing new or failed."
)


@pytest.mark.parametrize(
    ("days", "config", "said"),
    [(6, {}, False), (8, {}, True), (2, {"stale_days": 1.5}, True), (8, {"stale_days": 30}, False)],
)
def test_a_run_older_than_it_allows_is_called_so(
    days: int, config: dict[str, float], said: bool, lake_copy: Path, open_page: Open
) -> None:
    runs = read_raw(lake_copy / "runs")
    published = dt.datetime.now(dt.UTC) - dt.timedelta(days=days, minutes=1)
    changed = runs.with_columns(pl.lit(published).alias("published_at"), pl.lit(json.dumps(config)).alias("config"))
    shutil.rmtree(lake_copy / "runs")
    write_raw(lake_copy / "runs", changed.cast(runs.schema))
    app = open_page(str(lake_copy))
    assert [warning.value for warning in app.warning] == ([OLD.format(days)] if said else [])


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (dt.timedelta(minutes=59), "within the hour"),
        (dt.timedelta(minutes=60), "1 hour ago"),
        (dt.timedelta(hours=47, minutes=59), "47 hours ago"),
        (dt.timedelta(hours=48), "2 days ago"),
    ],
)
def test_an_age_is_said_in_hours_and_from_two_days_on_in_days(age: dt.timedelta, said: str) -> None:
    assert ago(age) == said


def test_the_footer_says_what_is_read(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    run = Lake(tiny_lake).run()
    footer = open_page(tiny_lake, "samples").caption[-1].value
    in_sample = rows.filter(~pl.col("out_of_sample")).height
    for fact in (run.run_id, "preset smoke", run.dataset_id, f"{len(rows)} samples scored", f"{in_sample} of them"):
        assert fact in footer


def test_every_technical_word_is_explained_on_every_page(tiny_lake: str, open_page: Open) -> None:
    sidebar = "\n".join(text.value for text in open_page(tiny_lake, "runs").sidebar.markdown)
    for word in ("Loss", "Nats", "Lift", "Adjusted p", "Silhouette", "Held-out", "UMAP", "Cliff's delta", "L\\*"):
        assert f"**{word}**: " in sidebar


def test_a_lake_that_cannot_be_read_is_said_by_the_banner_and_breaks_no_page(
    tiny_lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def show() -> None:
        from typing import NoReturn

        from lake.errors import LakeError
        from lake.storage.store import default_root
        from pages.ui.core import data
        from pages.ui.frame import freshness

        def fail() -> NoReturn:
            raise LakeError("gone for a moment")

        data.runs = fail
        freshness.show_banner(data.open_run(default_root(), data.read_runs(default_root())["run_id"][0]), "x")

    monkeypatch.setenv("LATENTLAKE_LAKE", tiny_lake)
    monkeypatch.setattr(data, "runs", data.runs)  # put back after the test
    app = AppTest.from_function(show, default_timeout=60).run()
    assert not app.exception
    assert "The lake cannot be read at the moment" in app.caption[0].value


def test_runs_of_the_same_second_have_different_names() -> None:
    second = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    moments = {"a": second, "b": second + dt.timedelta(milliseconds=700), "c": second + dt.timedelta(seconds=1)}
    runs = pl.DataFrame({"run_id": list(moments), "published_at": list(moments.values()), "preset": "quick"})
    names = name_runs(runs)
    assert len(set(names.values())) == 3
    assert names["c"] == "01 Jan 2026 12:00:01 · quick"
    assert names["b"].endswith(" · b")


def test_the_latest_of_two_runs_of_a_second_stays_open(
    changed_lake: str, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = Lake(changed_lake).runs().with_columns(published_at=pl.lit(dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)))
    monkeypatch.setattr(data, "read_runs", lambda _: same)
    app = open_page(changed_lake, "compare")
    assert app.run().session_state["run_id"] == LATER
