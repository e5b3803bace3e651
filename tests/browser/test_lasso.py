"""The lasso in Chromium: its corners are where the reader drew them, whether dots are few or many."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Page, expect

from lake.query.joined_samples import scan_samples
from lake.storage.store import Lake
from pages.charts.projection_state import from_query
from tests.support.lakes.synthetic import build_synthetic_lake
from tests.support.servers.browser import chart, serve, wait_until_drawn

pytestmark = pytest.mark.browser
SHARE = 0.004
"""Of the map's width: about as far as the edge of a drawn line may be off."""
MANY = 3000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of so many dots that the browser may draw them on a canvas, and its lake's root."""
    root = str(tmp_path_factory.mktemp("many"))
    build_synthetic_lake(root, MANY, features=8)
    with serve(root) as address:
        yield f"{address} {root}"


@pytest.fixture(params=["few", pytest.param("many", marks=pytest.mark.long)])
def drawn(request: pytest.FixtureRequest, tiny: str, tiny_lake: str) -> tuple[str, str]:
    """The address of a server and the root of its lake."""
    if request.param == "few":
        return tiny, tiny_lake
    address, root = request.getfixturevalue("many").split(" ")
    return address, root


@pytest.mark.long
def test_a_lasso_lies_where_a_box_over_the_same_pixels_does(drawn: tuple[str, str], opened: Any) -> None:
    address, _ = drawn
    page = opened(f"{address}/population_map")
    drag(page, [(0.2, 0.3), (0.6, 0.8)])
    box = wait_for_state(page, "box").box
    assert box
    page.get_by_role("button", name="Lasso").click()
    drag(page, [(0.2, 0.3), (0.6, 0.3), (0.6, 0.8), (0.2, 0.8)])
    state = wait_for_state(page, "lasso")
    assert state.box is None, "the lasso has taken its place"
    x, y = zip(*state.lasso, strict=True)
    assert [min(x), max(x), min(y), max(y)] == pytest.approx(box, abs=SHARE * (box[1] - box[0]) / 0.4)


@pytest.mark.long
def test_what_lies_in_a_lasso_is_counted_and_shown_elsewhere(drawn: tuple[str, str], opened: Any) -> None:
    address, root = drawn
    page = opened(f"{address}/population_map")
    page.mouse.move(*at(page, (0.4, 0.5)))
    page.mouse.wheel(0, -200)
    wait_for_state(page, "view")
    page.get_by_role("button", name="Lasso").click()
    drag(page, [(0.1, 0.2), (0.9, 0.3), (0.5, 0.6), (0.7, 0.9)])
    state = wait_for_state(page, "lasso")
    samples = scan_samples(Lake(root).run()).collect()
    inside = samples.filter(state.selected()).height
    assert 0 < inside < len(samples)
    said = f"Selection: {inside:,} of {len(samples):,} samples"
    expect(page.get_by_text(said)).to_be_visible()
    second = opened(page.url)
    expect(second.get_by_text(said)).to_be_visible()
    second.get_by_role("button", name="Clear").click()
    expect(second.get_by_text("All shown: ")).to_be_visible()
    wait_until_drawn(second)
    assert "lasso=" not in second.url


@pytest.mark.long
def test_escape_puts_the_lasso_away(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/population_map")
    button = page.get_by_role("button", name="Lasso")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(button).to_have_attribute("aria-pressed", "false")
    drag(page, [(0.2, 0.3), (0.6, 0.8)])
    assert wait_for_state(page, "box").lasso == ()


def at(page: Page, place: tuple[float, float]) -> tuple[float, float]:
    """A place on the map in shares of its width and height, on the screen."""
    box = chart(page).locator(".marks").bounding_box()
    assert box
    return box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"]


def drag(page: Page, places: list[tuple[float, float]]) -> None:
    first, *others = (at(page, place) for place in places)
    page.mouse.move(*first)
    page.mouse.down()
    for place in others:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def wait_for_state(page: Page, name: str) -> Any:
    """The state of the map in the address, once that says something of the name."""
    page.wait_for_url(re.compile(rf"[?&]{name}="))
    wait_until_drawn(page)
    query = dict(parse_qsl(urlsplit(page.url).query))
    return from_query(query, [query["color"]])[0]
