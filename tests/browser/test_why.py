"""The page Why in Chromium: the map lies on its image, its state is in the address, maps on demand, uploads, files."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from lake.storage.store import Lake, Run
from pages.ui.loss_maps.panel import MAP_SIDE
from tests.support.servers.browser import chart, serve, unexpected, wait_until_drawn

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def drawn(drawn_folder: Path) -> Iterator[str]:
    """Address of the app on the drawn lake, whose model is there."""
    with serve(str(drawn_folder / "lake")) as address:
        yield address


@pytest.fixture(scope="module")
def run(drawn_folder: Path) -> Run:
    return Lake(drawn_folder / "lake").run()


def choose(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).click()
    wait_until_drawn(page)


@pytest.mark.long
def test_a_loss_map_covers_its_image_as_large_as_it_is_shown_beside_it(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/loss_analysis")
    beside, below = page.get_by_alt_text("The image", exact=True), chart(page).locator("image")
    cells = chart(page).locator(".mark-rect")
    boxes: list[Any] = [found.bounding_box() for found in (beside, below, cells)]
    for side in ("width", "height"):
        assert [box[side] for box in boxes] == pytest.approx([MAP_SIDE] * 3, abs=2)


@pytest.mark.long
def test_the_panel_stands_in_one_row_at_1400_pixels_and_nothing_sticks_out_at_390(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/loss_analysis")
    titles = ("Image", "Map of the loss", "Check: the loss, measured", "Probabilities")
    tops = [page.get_by_text(title, exact=True).first.bounding_box()["y"] for title in titles]
    assert max(tops) - min(tops) <= 6
    page.set_viewport_size({"width": 390, "height": 844})
    wait_until_drawn(page)
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth - e.clientWidth") <= 0


@pytest.mark.long
def test_what_is_shown_is_in_the_address(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/loss_analysis")
    for name in ("Prediction", "4 x 4 cells (layer 4)", "Common", "Another sample"):
        choose(page, name)
    again = opened(page.url)
    for name in ("Prediction", "4 x 4 cells (layer 4)", "Common", "Another sample"):
        expect(again.get_by_role("radio", name=name)).to_have_attribute("aria-checked", "true")
    assert again.locator("h2").first.inner_text() == page.locator("h2").first.inner_text()


@pytest.mark.long
def test_next_and_previous_walk_through_the_filter(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/loss_analysis?f=label.is.cat")
    first = page.locator("h2").first.inner_text()
    expect(page.get_by_text(re.compile(r"^1 of \d+ by loss"))).to_be_visible()
    page.locator("button:has-text('chevron_right')").first.click()
    expect(page.get_by_text(re.compile(r"^2 of \d+ by loss"))).to_be_visible()
    wait_until_drawn(page)
    assert page.locator("h2").first.inner_text() != first


@pytest.mark.long
def test_a_training_sample_and_the_margin_of_two_classes_are_explained_on_demand(
    drawn: str, run: Run, opened: Any
) -> None:
    problems: list[str] = []
    trained = run.scan("predictions").filter(~pl.col("out_of_sample")).head(1).collect()["sample_id"][0]
    page = opened(f"{drawn}/loss_analysis?sample={trained}", problems=problems)
    expect(page.get_by_text("Map of the loss", exact=True)).to_be_visible()
    choose(page, "Margin of two classes")
    expect(page.get_by_text(re.compile("Map of the margin of .* over"))).to_be_visible()
    expect(page.locator("h2").first).to_contain_text("the margin of")
    assert unexpected(problems) == []


@pytest.mark.long
def test_an_image_of_the_reader_is_explained_and_what_is_none_is_refused(drawn: str, opened: Any) -> None:
    page = opened(f"{drawn}/loss_analysis")
    page.get_by_text("Explain an image of your own").click()
    wait_until_drawn(page)
    picture = io.BytesIO()
    Image.new("RGB", (200, 120), (220, 90, 30)).save(picture, "PNG")
    upload = page.locator('input[type="file"]')
    upload.set_input_files({"name": "mine.png", "mimeType": "image/png", "buffer": picture.getvalue()})
    expect(page.get_by_text("Explain the loss if it is")).to_be_visible()
    wait_until_drawn(page)
    assert page.locator('img[alt="The image"][src^="data:image/png"]').count() == 1
    upload.set_input_files({"name": "bad.png", "mimeType": "image/png", "buffer": b"no image"})
    expect(page.get_by_text("The file is not a readable image")).to_be_visible()


@pytest.mark.long
def test_a_map_is_taken_away_as_a_picture_and_as_numbers(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/loss_analysis")
    with page.expect_download() as numbers:
        page.get_by_role("button", name="Numbers").click()
    table = pl.read_csv(numbers.value.path())
    assert table.columns == ["row", "column", "nats"] and len(table) == 64
    with page.expect_download() as picture:
        page.get_by_role("button", name="Picture").click()
    assert picture.value.suggested_filename.endswith(".png")
    with Image.open(picture.value.path()) as image:
        assert image.width > 500


@pytest.mark.long
def test_a_family_opens_its_samples(tiny: str, opened: Any) -> None:
    page = opened(f"{tiny}/loss_analysis")
    page.get_by_role("radio", name="1", exact=True).click()
    wait_until_drawn(page)
    page.get_by_role("link", name="As a table").click()
    expect(page.locator("h1")).to_have_text("Samples")
    expect(page.get_by_text("map family: 1")).to_be_visible()
