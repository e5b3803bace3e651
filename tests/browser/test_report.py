"""The report in Chromium, from the disk and without a network; and the app's button that hands it out."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.lakes.hostile_run import SCRIPT, build_hostile_lake
from tests.support.lakes.tiny_lake import RUN_ID
from tests.support.servers.apps import HELD_OUT
from tests.support.servers.reports import report_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tiny_lake: str) -> str:
    return report_of(tiny_lake)


@pytest.fixture
def offline(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    """`offline(report)` is it opened from the disk without a network, what it asked for, and what went wrong."""
    contexts: list[BrowserContext] = []

    def opened(report: str, *, width: int = 1400, scheme: str = "light") -> tuple[Page, list[str], list[str]]:
        file = tmp_path / "report.html"
        file.write_text(report)
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        context.set_offline(True)
        contexts.append(context)
        requests: list[str] = []
        problems: list[str] = []
        page = context.new_page()
        page.on("request", lambda r: None if r.url.startswith("data:") else requests.append(r.url))
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(file.as_uri())
        assert requests.pop(0) == file.as_uri()
        return page, requests, problems

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1400, "light"),
        (390, "dark"),
        pytest.param(1400, "dark", marks=pytest.mark.long),
        pytest.param(390, "light", marks=pytest.mark.long),
    ],
)
def test_it_is_drawn_from_the_disk_and_asks_for_nothing(
    width: int, scheme: str, report: str, rows: pl.DataFrame, offline: Any
) -> None:
    page, requests, problems = offline(report, width=width, scheme=scheme)
    assert (requests, problems) == ([], [])
    assert page.evaluate("document.documentElement.scrollWidth") == width
    charts = page.locator(".chart svg")
    assert charts.count() == 2
    for box in (charts.nth(i).bounding_box() for i in range(2)):
        assert 300 < box["width"] <= width
        assert box["height"] > 200
    cells = rows.filter(HELD_OUT).select("label", "predicted").n_unique()
    assert page.locator("#confusion .mark-rect.role-mark path").count() == cells
    assert page.locator("#map .mark-symbol.role-mark path").count() == len(rows)
    loaded = page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth === 32)")
    assert loaded and page.locator("article img").count() > 8


@pytest.mark.long
def test_dark_and_light_have_the_text_of_charts_in_the_colour_of_the_page(report: str, offline: Any) -> None:
    for scheme in ("light", "dark"):
        page, *_ = offline(report, scheme=scheme)
        text, body = (
            page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).{property_}")
            for selector, property_ in (("#confusion .role-axis-label text", "fill"), ("body", "color"))
        )
        assert text == body


@pytest.mark.long
def test_markup_in_names_is_text_to_a_browser_too(tmp_path: Path, offline: Any) -> None:
    root = str(tmp_path / "lake")
    build_hostile_lake(root)
    page, requests, problems = offline(report_of(root))
    assert page.evaluate("document.scripts.length") == 0
    assert page.locator('a[href*="example.org"], [src*="example.org"]').count() == 0
    assert SCRIPT in page.locator("h3").first.inner_text()
    assert SCRIPT in page.locator("#confusion .chart").inner_text()
    assert (requests, problems) == ([], [])


@pytest.mark.long
def test_the_overview_hands_out_the_report_under_the_name_of_the_run(tiny: str, report: str, opened: Any) -> None:
    page = opened(tiny)
    for _ in range(2):  # the second one is kept from the first
        with page.expect_download() as download:
            page.get_by_role("button", name="Report (HTML)").click()
        assert download.value.suggested_filename == f"latentlake-{RUN_ID}.html"
        assert Path(download.value.path()).read_text() == report


@pytest.mark.long
def test_every_chart_of_a_page_can_be_taken_away_as_a_picture(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/confusion")
    page.get_by_test_id("stVegaLiteChart").first.hover()
    with page.expect_download() as picture:
        page.get_by_role("button", name="Download as PNG").first.click()
    assert Path(picture.value.path()).read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_all_charts_of_a_page_can_be_taken_away_as_vector_files(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/population_map")
    with page.expect_download() as charts:
        page.get_by_role("button", name="Charts of this page (SVG)").click()
    assert charts.value.suggested_filename == "population_map-charts.zip"
    with zipfile.ZipFile(charts.value.path()) as folder:
        files = [folder.read(name) for name in folder.namelist()]
    assert files and all(file.startswith(b"<svg") for file in files)
