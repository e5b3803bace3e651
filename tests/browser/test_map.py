"""The map in Chromium: picking, boxing, isolating, zooming, and an address that shows the same elsewhere."""

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.support.lakes.tiny_lake import RUN_ID
from tests.support.servers.browser import chart, get, mark, unexpected, wait_until_drawn

pytestmark = pytest.mark.browser


@pytest.mark.long
def test_a_click_on_a_dot_of_the_map_opens_its_panel(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/population_map")
    dot = mark(page, "Sample id").last  # drawn last, so nothing covers it
    sample = re.search(r"Sample id: ([\d,]+)", str(dot.get_attribute("aria-label")))
    assert sample
    dot.click()
    expect(page.get_by_test_id("stMain")).to_contain_text(re.compile(rf"Sample {sample[1]} · "))
    expect(page.get_by_text("Fetch similar")).to_be_visible()


@pytest.mark.long
def test_a_box_dragged_on_the_map_selects_what_is_inside(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/population_map")
    expect(page.get_by_text("All shown: 240 of 240 samples")).to_be_visible()
    drag_box(page)
    expect(page.get_by_text(re.compile(r"Selection: 120 of 240 samples"))).to_be_visible()  # the vehicles, on the left


def drag_box(page: Page) -> None:
    """A box over the left half of the map."""
    box = chart(page).locator("path.background").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] - 5, steps=8)
    page.mouse.up()


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()


@pytest.mark.long
def test_a_copied_address_shows_the_same_colour_filter_selection_and_run(tiny: str, opened: Any) -> None:
    first = opened(f"{tiny}/population_map?f=predicted.is.ship,dog")
    choose(first, "Colour", "Label")
    expect(first.locator('[aria-label*="coloured by Label"]').first).to_be_visible()
    drag_box(first)
    selection = first.get_by_text(re.compile("Selection: "))
    expect(selection).to_be_visible()
    wait_until_drawn(first)
    for part in (f"run={RUN_ID}", "f=predicted.is.ship", "color=label", "box="):
        assert part in first.url
    second = opened(first.url)
    expect(second.get_by_text(selection.inner_text(), exact=True)).to_be_visible()
    expect(second.locator('[aria-label*="coloured by Label"]').first).to_be_visible()
    expect(second.get_by_text("predicted: ship or dog")).to_be_visible()
    wait_until_drawn(second)
    first_query, second_query = (sorted(parse_qsl(urlsplit(page.url).query)) for page in (first, second))
    assert second_query == first_query


@pytest.mark.long
def test_a_click_on_the_legend_isolates_a_value(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/population_map")
    chart(page).locator(".role-legend-symbol path").first.click()
    expect(page.get_by_text(re.compile("All shown: 10[0-9] of 240 samples"))).to_be_visible()
    wait_until_drawn(page)
    assert "only=animal" in page.url
    assert chart(page).locator(".layer_0_marks image").count() == 1, "the others lie beneath in grey"


@pytest.mark.long
def test_the_wheel_zooms_in_and_the_address_says_where(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/population_map")
    box = chart(page).bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.5)
    page.mouse.wheel(0, -300)
    expect(page.get_by_text(re.compile(r"All shown: \d+ of 240 samples"))).not_to_have_text(
        "All shown: 240 of 240 samples"
    )
    wait_until_drawn(page)
    assert "view=" in page.url


@pytest.mark.long
def test_a_drag_with_shift_moves_the_view_and_draws_no_box(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/population_map?color=superclass&view=-1,1,-1,1")
    box = chart(page).locator("path.background").first.bounding_box()
    assert box
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.5, steps=8)
    page.mouse.up()
    page.keyboard.up("Shift")
    page.wait_for_url(lambda url: "view=-1%2C1" not in url and "view=-1,1" not in url)
    wait_until_drawn(page)
    query = dict(parse_qsl(urlsplit(page.url).query))
    assert "box" not in query
    assert [float(part) for part in query["view"].split(",")] == pytest.approx([-1.5, 0.5, -1, 1], abs=0.05)


@pytest.mark.long
def test_a_sample_found_elsewhere_is_located_on_the_map(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/similar?sample=5")
    page.get_by_text("Show on the map").first.click()
    expect(page.locator("h1")).to_have_text("Population map")
    expect(page.get_by_test_id("stMain")).to_contain_text("Sample 5 · ")
    wait_until_drawn(page)
    assert "sample=5" in page.url
    assert chart(page).locator(".mark-rule line").count() == 10, "a line to each of the nearest"


@pytest.mark.long
def test_images_take_the_place_of_dots(tiny: str, opened: Any) -> None:
    problems: list[str] = []
    page = opened(f"{tiny}/population_map", problems=problems)
    page.get_by_role("radio", name="Images").or_(page.get_by_role("button", name="Images")).first.click()
    expect(chart(page).locator(".layer_2_marks image").first).to_be_visible()
    wait_until_drawn(page)
    assert "show=images" in page.url
    assert unexpected(problems) == []


@pytest.mark.long
def test_an_expression_filters_what_the_map_shows(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/population_map")
    page.get_by_role("button", name="Add filter").click()
    line = page.get_by_role("textbox", name="Or an expression")
    line.fill("label = 'cat'")
    line.press("Enter")
    page.get_by_role("button", name="Add expression").click()
    expect(page.get_by_text("cannot be read")).to_be_visible()
    line.fill("label == 'cat' and loss > 0")
    line.press("Enter")
    page.get_by_role("button", name="Add expression").click()
    expect(page.get_by_text("All shown: 54 of 240 samples")).to_be_visible()
    assert "f=.where." in page.url


@pytest.mark.long
def test_a_hostile_address_of_the_map_is_refused_in_words(tiny: str, opened: Any) -> None:
    problems: list[str] = []
    hostile = "color=__class__&view=nan,1,2,3&box=%3Cscript%3E&sample=-1&only=" + "," * 99
    page = opened(f"{tiny}/population_map?{hostile}", problems=problems)
    expect(page.get_by_test_id("stToast")).to_contain_text("color and view and box and sample and only was ignored")
    expect(page.get_by_text("All shown: 240 of 240 samples")).to_be_visible()
    assert unexpected(problems) == []


def test_a_picture_is_a_png_that_browsers_keep_for_ever(tiny: str) -> None:
    status, cached, body = get(f"{tiny}/pictures/{RUN_ID}.png?color=label&f=label.is.cat")
    assert (status, body[:4]) == (200, b"\x89PNG")
    assert "immutable" in cached


@pytest.mark.parametrize(
    "path",
    [
        "no-such-run.png",
        "..%2f..%2fetc%2fpasswd.png",
        f"{RUN_ID}.jpg",
        f"{RUN_ID}.png?color=nothing",
        f"{RUN_ID}.png?view=1,0,1,0",
        f"{RUN_ID}.png?f=label.is",
        f"{RUN_ID}.png?f=.where.__import__('os')",
        f"{RUN_ID}.png?layout=%00",
    ],
)
def test_no_other_path_under_pictures_gives_one(path: str, tiny: str) -> None:
    status, _, body = get(f"{tiny}/pictures/{path}")
    assert status in (400, 404), body[:200]
