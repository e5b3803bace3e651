"""A thousand classes in Chromium: every page fits, draws no more than can be read, and finds what is searched for."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from lake.query.filters import MAX_VALUES
from pages.charts import charts
from pages.charts.palette import DISTINCT
from pages.ui.session.navigation import ENTRIES
from tests.support.data.classes import ODD
from tests.support.lakes.many_classes import SAMPLES, build_two_runs
from tests.support.servers.axe import violations
from tests.support.servers.browser import BEYOND, chart, serve, unexpected, wait_until_drawn
from tests.support.servers.reports import report_of

pytestmark = [pytest.mark.browser, pytest.mark.long]
TITLES = {entry.path: entry.title for entry in ENTRIES}
VIEWS = [*TITLES, "population_map?color=label", "samples?pivot=label,predicted", "compare?part=Losses"]
NAME = "class 0123"
MOST_LABELS = charts.MOST_ROWS
LABELS = """() => [[".role-axis-label", "text"], [".role-legend", ".role-legend-label"]].flatMap(([group, name]) =>
  [...document.querySelectorAll(group)].map(e => e.querySelectorAll(name).length))"""
"""How many names stand along each axis and in each legend."""
BROKEN_NUMBERS = """() => [...document.querySelectorAll("td.number")].filter(cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return new Set([...range.getClientRects()].map(line => line.top)).size > 1;
}).map(cell => cell.innerText)"""
LONGEST_ANSWER, LONGEST_ADDRESS, MOST_ELEMENTS = 300, 150, 2000
"""Characters of the sentence and of the address, and elements of a page without those of its charts."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Root of a lake of two runs of a thousand classes."""
    root = str(tmp_path_factory.mktemp("classes") / "lake")
    build_two_runs(root)
    return root


@pytest.fixture(scope="module")
def classes(root: str) -> Iterator[str]:
    """Address of the app on that lake."""
    with serve(root) as address:
        yield address


@pytest.mark.parametrize("view", VIEWS)
def test_every_page_can_be_read_in_a_wide_and_a_narrow_window(view: str, classes: str, opened: Any) -> None:
    problems: list[str] = []
    page = opened(f"{classes}/{view}", problems=problems)
    expect(page.locator("h1")).to_have_text(TITLES[view.partition("?")[0]])
    assert page.get_by_test_id("stException").count() == 0
    assert max(page.evaluate(LABELS), default=0) <= MOST_LABELS
    assert page.evaluate("document.querySelectorAll(':not(svg *)').length") <= MOST_ELEMENTS
    assert 0 < len(page.locator("h2").first.inner_text()) <= LONGEST_ANSWER
    assert len(page.url) <= LONGEST_ADDRESS
    assert _beyond(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()  # Streamlit's tables keep the width they were drawn at
    wait_until_drawn(page)
    assert _beyond(page) == []
    assert violations(page) == []
    assert unexpected(problems) == []


def test_a_filter_by_a_class_that_was_searched_for_holds_on_every_page(classes: str, opened: Any) -> None:
    problems: list[str] = []
    page = opened(f"{classes}/samples", problems=problems)
    values = _filter_by_label(page)
    _search(page, values, "0123", NAME)
    _add(page)
    expect(page.get_by_text(re.compile(r"^\d+ samples? pass(es)? the filters"))).to_be_visible()
    counts = page.get_by_test_id("stSidebar").get_by_text(re.compile(rf"Filters · \d+ of {SAMPLES:,} samples"))
    for entry in ENTRIES:
        page.get_by_role("link", name=entry.title, exact=True).click()
        expect(page.locator("h1")).to_have_text(entry.title)
        wait_until_drawn(page)
        expect(page.get_by_text(f"label: {NAME}")).to_be_visible()
        expect(counts).to_be_visible()
        assert page.get_by_test_id("stException").count() == 0
        assert f"f=label.is.{NAME}" in unquote(unquote(page.url))
    assert unexpected(problems) == []


def test_all_classes_at_once_are_as_many_as_an_address_holds(classes: str, opened: Any) -> None:
    page = opened(f"{classes}/samples")
    _filter_by_label(page).click()
    page.get_by_text("Select all", exact=True).click()
    expect(page.get_by_text(f"only select up to {MAX_VALUES} options")).to_be_visible()
    _add(page)
    expect(page.get_by_test_id("stSidebar").get_by_text(re.compile(r"label: .* or \d+ others"))).to_be_visible()
    wait_until_drawn(page)
    assert _beyond(page) == []
    page.reload()
    expect(page.get_by_test_id("stSidebar").get_by_text(re.compile(r"label: .* or \d+ others"))).to_be_visible()
    assert page.get_by_test_id("stToast").count() == 0


@pytest.mark.parametrize(
    ("path", "label", "said"),
    [
        ("population_map", "Of", "held-out samples? among"),
        ("confusion", "Around the class", f"(C|c)lass 0123 (called|is never called)|called {NAME}"),
        ("data_quality", "If the label is wrong, it is", f"Wrong: {NAME}"),
    ],
)
def test_every_list_of_classes_is_searched_by_typing(
    path: str, label: str, said: str, classes: str, opened: Any
) -> None:
    page = opened(f"{classes}/{path}")
    if path == "data_quality":
        page.get_by_role("tab", name="Review queue").click()
    box = page.get_by_role("combobox", name=label, exact=True)
    _search(page, box, "0123", NAME)
    wait_until_drawn(page)
    expect(box).to_have_value(NAME)
    expect(page.get_by_test_id("stMain").get_by_text(re.compile(said)).first).to_be_visible()


def test_the_report_keeps_its_numbers_on_one_line_and_fits_the_window(root: str, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_content(report_of(root))
    assert page.locator("td.number").count() > 100
    assert page.evaluate(BROKEN_NUMBERS) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.close()


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
    _search(page, page.get_by_role("combobox", name="Coloured values"), "a,b;c", ODD[6])
    wait_until_drawn(page)
    expect(chart(page).locator(".role-legend-symbol path")).to_have_count(2)
    expect(page).to_have_url(re.compile("colored="))
    assert f"colored={ODD[6]}" in unquote(unquote(page.url))
    page.keyboard.press("Escape")
    chart(page).locator(".role-legend-symbol path").first.click()
    expect(page.get_by_text(re.compile(rf"All shown: \d+ of {SAMPLES:,} samples"))).to_be_visible()
    wait_until_drawn(page)
    chart(page).locator(".role-legend-symbol path").last.click()
    expect(page.get_by_text(f"All shown: {SAMPLES:,} of {SAMPLES:,} samples")).to_be_visible()


def test_a_class_is_searched_for_and_a_cell_of_its_matrix_opens(classes: str, opened: Any) -> None:
    page = opened(f"{classes}/confusion")
    _search(page, page.get_by_role("combobox", name="Around the class"), "stars", ODD[1])
    wait_until_drawn(page)
    matrix = page.get_by_test_id("stVegaLiteChart").first
    matrix.locator('[aria-label*="Given label: **stars"]').first.click(position={"x": 8, "y": 8})
    expect(page.locator("h3").first).to_contain_text(
        re.compile(r"\*\*stars\*\* _and_ \[a link\].* called .*: \d+ sample")
    )


def _beyond(page: Page) -> list[str]:
    """What is wider than the window."""
    main = page.get_by_test_id("stMain")
    assert page.locator("html").evaluate("e => e.scrollWidth - innerWidth") <= 0
    assert main.evaluate("e => e.scrollWidth - e.clientWidth") <= 0
    return list(main.evaluate(BEYOND))


def _filter_by_label(page: Page) -> Locator:
    """Open the form of a filter and choose the column of labels; the box with its values."""
    page.get_by_role("button", name="Add filter").click()
    boxes = page.get_by_test_id("stPopoverBody").get_by_role("combobox")
    boxes.first.click()
    page.get_by_role("option", name="Label", exact=True).click()
    wait_until_drawn(page)
    return boxes.nth(1)


def _add(page: Page) -> None:
    """Close the list of values, add the filter of the form, and close that."""
    page.keyboard.press("Escape")
    add = page.get_by_test_id("stPopoverBody").get_by_role("button", name="Add", exact=True)
    expect(add).to_be_enabled()
    add.click()
    page.keyboard.press("Escape")
    wait_until_drawn(page)


def _search(page: Page, box: Locator, typed: str, option: str) -> None:
    """Type into a box with options and take the one that is found."""
    box.click()
    box.press_sequentially(typed)
    page.get_by_role("option").filter(has_text=option.strip()).first.click()
