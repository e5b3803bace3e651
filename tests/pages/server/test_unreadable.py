"""Pages of a lake that is empty, damaged or newer: a sentence that says what to do, and no traceback."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from starlette.requests import Request
from starlette.responses import Response
from streamlit.testing.v1 import AppTest

from lake.contracts.tables import FORMAT_VERSION
from pages.ui.server.routes import serve_original, serve_thumbnail
from tests.support.lakes.raw_tables import read_raw, write_raw
from tests.support.servers.apps import Open, shown


def test_an_empty_lake_shows_the_command_that_fills_it(empty_lake: str, open_page: Open) -> None:
    app = open_page(empty_lake)
    assert not app.exception
    assert [code.value for code in app.code] == [f"latentlake refresh --preset quick --lake {shlex.quote(empty_lake)}"]
    assert empty_lake in shown(app)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("overview", "runs"),
        ("overview", "predictions"),
        ("overview", "findings"),
        ("population_map", "neighbors"),
        ("population_map", "projection"),
        ("confusion", "samples"),
        ("clusters", "cluster_summaries"),
        ("loss_analysis", "loss_maps"),
        ("similar", "neighbors"),
        ("runs", "training"),
        ("runs", "metrics"),
    ],
)
def test_a_file_cut_short_is_reported_in_a_sentence(name: str, table: str, lake_copy: Path, open_page: Open) -> None:
    for file in (lake_copy / table).rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:40])
    _expect_a_sentence(open_page(str(lake_copy), name), f"The lake {lake_copy} cannot be read")


@pytest.mark.parametrize("table", ["runs", "predictions"])
def test_a_broken_log_is_reported_in_a_sentence(table: str, lake_copy: Path, open_page: Open) -> None:
    for log in (lake_copy / table / "_delta_log").glob("*.json"):
        log.write_text("{not json")
    _expect_a_sentence(open_page(str(lake_copy)), f"The lake {lake_copy} cannot be read")


def test_a_missing_table_is_reported_in_a_sentence(lake_copy: Path, open_page: Open) -> None:
    shutil.rmtree(lake_copy / "projection")
    _expect_a_sentence(open_page(str(lake_copy)), f"The lake {lake_copy} cannot be read")


def test_a_lake_of_a_newer_format_says_which_and_what_to_do(lake_copy: Path, open_page: Open) -> None:
    newer = read_raw(lake_copy / "runs").with_columns(format_version=pl.lit(FORMAT_VERSION + 1))
    write_raw(lake_copy / "runs", newer, mode="overwrite")
    _expect_a_sentence(open_page(str(lake_copy)), f"has runs in format {FORMAT_VERSION + 1}")


@pytest.mark.parametrize("serve", [serve_thumbnail, serve_original])
def test_images_of_a_damaged_lake_are_refused_without_an_exception(
    serve: Callable[[Request], Response], lake_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in (lake_copy / "images").rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:40])
    monkeypatch.setenv("LATENTLAKE_LAKE", str(lake_copy))
    asked = Request({"type": "http", "path_params": {"dataset_id": "tiny-240-0", "sample_id": 0}})
    assert serve(asked).status_code == 503


def _expect_a_sentence(app: AppTest, text: str) -> None:
    assert not app.exception, app.exception
    assert any(text in error.value for error in app.error), shown(app)
    assert "Traceback" not in shown(app)
