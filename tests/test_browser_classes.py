"""A thousand classes in Chromium: nothing reaches beyond the window; what is searched for and clicked is shown."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from playwright.sync_api import Page, expect

from benchmarks.classes import ODD
from benchmarks.synthetic import build_synthetic_lake
from pages.ui.palette import DISTINCT
from tests.axe import violations
from tests.browser import chart, serve, unexpected, wait_until_drawn
from tests.test_browser import BEYOND

pytestmark = pytest.mark.browser
WINDOWS = pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 844)])
PAGES = {"": "Overview", "population_map": "Population map", "confusion": "Where it fails", "similar": "Similar"}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app on a lake of a thousand classes."""
    root = str(tmp_path_factory.mktemp("classes") / "lake")
    build_synthetic_lake(root, 4000, classes=1000, features=16)
    with serve(root) as address:
        yield address


@WINDOWS
@pytest.mark.parametrize("path", PAGES)
def test_nothing_reaches_beyond_the_window(path: str, width: int, height: int, classes: str, opened: Any) -> None:
    problems: list[str] = []
    color = "?color=label" if path == "population_map" else ""
    page = opened(f"{classes}/{path}{color}", width=width, height=height, problems=problems)
    expect(page.locator("h1")).to_have_text(PAGES[path])
    assert page.locator("html").evaluate("e => e.scrollWidth - innerWidth") <= 0
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth - e.clientWidth") <= 0
    assert page.get_by_test_id("stMain").evaluate(BEYOND) == []
    assert violations(page) == []
    assert unexpected(problems) == []


def test_the_legend_is_lower_than_the_map(classes: str, opened: Any) -> None:
    page = opened(f"{classes}/population_map?color=label")
    legend, plot = (chart(page).locator(part).first.bounding_box() for part in (".role-legend", "path.background"))
    whole = chart(page).bounding_box()
    assert legend and plot and whole
    assert legend["height"] < plot["height"] / 3
    assert legend["x"] + legend["width"] <= whole["x"] + whole["width"]
    assert chart(page).locator(".role-legend-symbol path").count() == len(DISTINCT) + 1


def test_a_picked_value_is_coloured_and_the_legend_isolates_it(classes: str, opened: Any) -> None:
    page = opened(f"{classes}/population_map?color=label")
    _search(page, "Coloured values", "a,b;c", ODD[6])
    wait_until_drawn(page)
    expect(chart(page).locator(".role-legend-symbol path")).to_have_count(2)
    assert f"colored={ODD[6]}" in unquote(unquote(page.url))
    page.keyboard.press("Escape")
    chart(page).locator(".role-legend-symbol path").first.click()
    expect(page.get_by_text(re.compile(r"All shown: \d\d of 4,000 samples"))).to_be_visible()
    wait_until_drawn(page)
    chart(page).locator(".role-legend-symbol path").last.click()
    expect(page.get_by_text("All shown: 4,000 of 4,000 samples")).to_be_visible()


def test_a_class_is_searched_for_and_a_cell_of_its_matrix_opens(classes: str, opened: Any) -> None:
    page = opened(f"{classes}/confusion")
    _search(page, "Around the class", "stars", ODD[1])
    wait_until_drawn(page)
    matrix = page.get_by_test_id("stVegaLiteChart").first
    matrix.locator('[aria-label*="Given label: **stars"]').first.click(position={"x": 8, "y": 8})
    expect(page.locator("h3").first).to_contain_text(
        re.compile(r"\*\*stars\*\* _and_ \[a link\].* called .*: \d+ sample")
    )


def _search(page: Page, label: str, typed: str, option: str) -> None:
    """Type into a box with options and take the one that is found."""
    box = page.get_by_role("combobox", name=label)
    box.click()
    box.press_sequentially(typed)
    page.get_by_role("option").filter(has_text=option.strip()).first.click()
