"""One walk in Chromium: over every page by its links, at a desk and on a phone, and through its main actions.

`LATENTLAKE_TEST_LAKE` names a lake whose pages are walked over too: `.ci/run` gives the one it has just refreshed.
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import polars as pl
import pytest
from playwright.sync_api import Browser, Page, expect

from lake.query.filters import Filters
from lake.query.joined_samples import scan_samples
from lake.storage.store import Lake
from pages.charts.projection_state import from_query
from pages.ui.loss_maps.panel import MAP_SIDE
from pages.ui.session.navigation import ENTRIES, Entry
from tests.support.lakes.tiny_lake import RUN_ID
from tests.support.servers.axe import contrast
from tests.support.servers.browser import (
    BEYOND,
    brightness,
    chart,
    drag_in,
    eventually,
    expect_whole,
    mark,
    open_page,
    serve,
    unexpected,
    wait_until_drawn,
)

pytestmark = pytest.mark.browser
GIVEN = os.environ.get("LATENTLAKE_TEST_LAKE")
SELDOM = ("clusters", "data_quality", "runs", "compare")
"""Pages of the drawn lake that only the long tests look at; every run of the checks walks all pages of a real lake."""
ON_TINY = pytest.mark.parametrize("walk", ["light", pytest.param("dark", marks=pytest.mark.long)], indirect=True)


@dataclass(frozen=True)
class Walk:
    """A tab at a desk and a dark one on a phone, both on the Overview at first, and what went wrong in them."""

    address: str
    desk: Page
    phone: Page
    samples: pl.DataFrame
    problems: list[str]

    def at(self, path: str) -> Page:
        """The tab at the desk, at an address of the app."""
        self.desk.goto(f"{self.address}/{path}")
        wait_until_drawn(self.desk)
        return self.desk


@pytest.fixture(scope="module")
def walk(
    request: pytest.FixtureRequest, browser: Browser, tiny_lake: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Walk]:
    """On a copy of the tiny lake, that may be written to, the desk light or dark, or on the given one."""
    root, scheme = str(GIVEN), "light"
    if request.param != "given":
        scheme, root = request.param, str(shutil.copytree(tiny_lake, tmp_path_factory.mktemp("walked") / "lake"))
    problems: list[str] = []
    with serve(root) as address:
        desk = open_page(browser, address, scheme=scheme, problems=problems)
        phone = open_page(browser, address, width=390, height=844, scheme="dark", problems=problems)
        yield Walk(address, desk, phone, scan_samples(Lake(root).run()).collect(), problems)
        for page in (desk, phone):
            page.context.close()


@pytest.fixture(autouse=True)
def nothing_goes_wrong(walk: Walk) -> Iterator[None]:
    """In the console, in requests, or by a request that leaves this machine."""
    yield
    assert unexpected(walk.problems) == []


def go(title: str, *pages: Page) -> None:
    """To a page by its link in the sidebar, which lies behind a button on a phone; in several tabs at once."""
    for page in pages:
        if (behind := page.get_by_test_id("stExpandSidebarButton")).is_visible():
            behind.click()
        page.get_by_test_id("stSidebarNav").get_by_role("link", name=title, exact=True).click()
    for page in pages:
        expect(page.locator("h1")).to_have_text(title)
        wait_until_drawn(page)


@pytest.mark.parametrize("walk", ["light"], indirect=True)
@pytest.mark.parametrize(
    "entry",
    [pytest.param(entry, marks=[pytest.mark.long] if entry.name in SELDOM else [], id=entry.name) for entry in ENTRIES],
)
def test_every_page_is_whole_at_a_desk_in_light_and_on_a_phone_in_dark(entry: Entry, walk: Walk) -> None:
    go(entry.title, walk.desk, walk.phone)
    for page in (walk.desk, walk.phone):
        expect_whole(page, entry)
    assert brightness(walk.desk) > 200
    assert brightness(walk.phone) < 60
    assert walk.phone.get_by_test_id("stMain").evaluate(BEYOND) == []


@pytest.mark.skipif(not GIVEN, reason="LATENTLAKE_TEST_LAKE names no lake")
@pytest.mark.parametrize("walk", ["given"], indirect=True)
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_page_of_the_given_lake_is_whole_in_light_and_dark(entry: Entry, walk: Walk) -> None:
    go(entry.title, walk.desk)
    expect_whole(walk.desk, entry)
    assert brightness(walk.desk) > 200
    walk.desk.emulate_media(color_scheme="dark")
    wait_until_drawn(walk.desk)
    expect_whole(walk.desk, entry)
    assert brightness(walk.desk) < 60
    walk.desk.emulate_media(color_scheme="light")


# --- main actions


@ON_TINY
def test_a_card_of_the_overview_leads_to_exactly_the_samples_it_counts(walk: Walk) -> None:
    page = walk.at("")
    count = re.match(r"n (\d+) of", page.get_by_text(re.compile(r"^n \d+ of")).first.inner_text())
    assert count
    page.get_by_role("link", name="As a table").first.click()
    expect(page.get_by_text(f"{count[1]} samples pass the filters")).to_be_visible()


@pytest.mark.long
@ON_TINY
def test_the_overview_hands_out_the_report(walk: Walk) -> None:
    page = walk.at("")
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML)").click()
    assert download.value.suggested_filename == f"latentlake-{RUN_ID}.html"
    assert "<html" in Path(download.value.path()).read_text()


@ON_TINY
def test_on_the_map_a_box_selects_a_legend_isolates_and_a_dot_opens_its_panel(walk: Walk) -> None:
    page = walk.at("population_map")
    expect(page.get_by_text("All shown: 240 of 240 samples")).to_be_visible()
    drag_in(page, chart(page).locator("path.background").first, (0.01, 0.01), (0.45, 0.99))
    expect(page.get_by_text("Selection: 120 of 240 samples")).to_be_visible()  # the vehicles, on the left
    page = walk.at("population_map")
    chart(page).locator(".role-legend-symbol path").first.click()
    expect(page.get_by_text(re.compile("All shown: 10[0-9] of 240 samples"))).to_be_visible()
    wait_until_drawn(page)
    assert "only=animal" in page.url
    dot = mark(page, "Sample id").last  # drawn last, so nothing covers it
    sample = re.search(r"Sample id: ([\d,]+)", str(dot.get_attribute("aria-label")))
    assert sample
    dot.click()
    expect(page.get_by_test_id("stMain")).to_contain_text(re.compile(rf"Sample {sample[1]} · "))


@pytest.mark.long
@ON_TINY
def test_a_lasso_selects_what_lies_in_it(walk: Walk) -> None:
    page = walk.at("population_map")
    page.get_by_role("button", name="Lasso").click()
    places = [(0.02, 0.02), (0.45, 0.02), (0.45, 0.98), (0.02, 0.98)]
    drag_in(page, chart(page).locator("path.background").first, *places)
    expect(page.get_by_text(re.compile(r"Selection: \d+ of 240 samples"))).to_be_visible()
    wait_until_drawn(page)
    query = dict(parse_qsl(urlsplit(page.url).query))
    state = from_query(query, [query["color"]])[0]
    assert f"Selection: {walk.samples.filter(state.selected()).height} of 240" in page.inner_text("body")


@ON_TINY
def test_a_cell_shows_its_samples_and_a_tile_its_sample_that_leads_to_similar_ones_and_the_map(walk: Walk) -> None:
    page = walk.at("confusion")
    expect(page.locator("h3").first).to_contain_text("Cat called dog")
    mark(page, "Predicted: dog; Given label: dog").last.click()
    expect(page.locator("h3").first).to_contain_text("Dog called dog")
    tile = page.locator(".gallery .tile").first
    expect(tile).to_contain_text("dog")
    wait_until_drawn(page)
    sample = re.match(r"Sample \d+", str(tile.get_attribute("title")))
    assert sample
    tile.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(sample[0])
    expect(dialog.get_by_label("Probability of each class", exact=True)).to_be_visible()
    dialog.get_by_text("Fetch similar").click()
    expect(page.locator("h1")).to_have_text("Similar")
    expect(page.get_by_test_id("stMain")).to_contain_text(sample[0])
    wait_until_drawn(page)
    page.get_by_text("Show on the map").first.click()
    expect(page.locator("h1")).to_have_text("Population map")
    expect(page.get_by_test_id("stMain")).to_contain_text(f"{sample[0]} · ")


@ON_TINY
def test_a_filter_holds_on_other_pages_and_in_the_link_that_is_copied(walk: Walk) -> None:
    page = walk.at("samples")
    page.get_by_role("button", name="Add filter").click()
    popover = page.get_by_test_id("stPopoverBody")
    popover.get_by_role("combobox").first.click()
    page.get_by_role("option", name="Label", exact=True).click()
    wait_until_drawn(page)
    popover.get_by_role("combobox").nth(1).click()
    page.get_by_role("option", name="cat", exact=True).click()
    page.keyboard.press("Escape")
    add = popover.get_by_role("button", name="Add", exact=True)
    expect(add).to_be_enabled()
    eventually(lambda: contrast(add) >= 4.5)  # its colours fade in
    add.click()
    n = walk.samples.filter(label="cat").height
    expect(page.get_by_text(f"{n} samples pass the filters")).to_be_visible()
    page.keyboard.press("Escape")
    go("Population map", page)
    expect(page.get_by_text(f"All shown: {n} of 240 samples")).to_be_visible()
    expect(page.get_by_text("label: cat")).to_be_visible()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link to this page").click()
    expect(page.get_by_text("Copied", exact=True)).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    assert f"run={RUN_ID}" in page.url and "f=label.is.cat" in page.url


@ON_TINY
def test_a_histogram_filters_and_the_table_is_taken_away_and_saved_as_a_view(walk: Walk, tmp_path: Path) -> None:
    page = walk.at("samples?sort=-loss&columns=label,loss")
    histogram = page.locator(".st-key-histograms").get_by_test_id("stVegaLiteChart").first
    drag_in(page, histogram, (0.4, 0.5), (0.8, 0.5))
    expect(page.get_by_text(re.compile(r"^loss: [\d.]+ to [\d.]+$"))).to_be_visible()
    wait_until_drawn(page)
    (clause,) = Filters.from_text(page.evaluate("new URLSearchParams(location.search).get('f')")).clauses
    low, high = map(float, clause.values)
    kept = walk.samples.filter(pl.col("loss").is_between(low, high)).sort("loss", "sample_id", descending=[True, False])
    assert 0 < len(kept) < len(walk.samples)
    expect(page.locator("h2").first).to_contain_text(f"{len(kept)} samples pass the filters")
    with page.expect_download() as started:
        page.get_by_role("button", name=re.compile(r"CSV \(\d+ rows\)")).click()
    assert pl.read_csv(started.value.path())["sample_id"].to_list() == kept["sample_id"].to_list()
    page.get_by_role("button", name="Views · 0").click()
    form = page.get_by_test_id("stPopoverBody")
    form.get_by_label("Name of the view").fill("high")
    form.get_by_label("Your name").fill("Ada")
    form.get_by_role("button", name="Save the view").click()
    expect(page.get_by_role("button", name="Views · 1")).to_be_visible()


@ON_TINY
def test_a_loss_map_covers_its_image_and_is_taken_away_as_numbers(walk: Walk) -> None:
    page = walk.at("loss_analysis")
    beside, below = page.get_by_alt_text("The image", exact=True), chart(page).locator("image")
    cells = chart(page).locator(".mark-rect")
    for found in (beside, below, cells):
        box = found.bounding_box()
        assert box and [box["width"], box["height"]] == pytest.approx([MAP_SIDE] * 2, abs=2)
    with page.expect_download() as numbers:
        page.get_by_role("button", name="Numbers").click()
    assert pl.read_csv(numbers.value.path()).columns == ["row", "column", "nats"]


@ON_TINY
def test_a_verdict_is_kept_and_can_be_taken_back(walk: Walk) -> None:
    page = walk.at("data_quality")
    page.get_by_role("tab", name="Review queue").click()
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Your name").press("Enter")
    page.get_by_role("button", name="Label is fine").click()
    back = page.get_by_role("button", name=re.compile(r"Take back: sample \d+ is fine"))
    back.click()
    expect(back).to_have_count(0)
