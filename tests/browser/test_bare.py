"""Predictions that were brought without images and embeddings on every page in Chromium."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from pages.ui.session.navigation import ENTRIES
from tests.support.lakes.bare_run import build_bare_lake
from tests.support.servers.browser import open_page, serve, unexpected

pytestmark = [pytest.mark.browser, pytest.mark.long]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app on the barest of runs."""
    lake = build_bare_lake(str(tmp_path_factory.mktemp("bare") / "lake"), images=False, embeddings=False)
    with serve(str(lake.root)) as address:
        yield address


def test_every_page_answers_without_an_error_or_a_broken_image(browser: Browser, address: str) -> None:
    for entry in ENTRIES:
        problems: list[str] = []
        page = open_page(browser, f"{address}/{entry.name if entry is not ENTRIES[0] else ''}", problems=problems)
        expect(page.locator("h1")).to_contain_text(entry.title)
        expect(page.locator("h2").first).to_be_visible()
        assert page.get_by_test_id("stException").count() == 0, entry.name
        assert page.locator("section img").count() == 0, entry.name
        assert unexpected(problems) == [], entry.name
        page.context.close()


def test_a_card_without_an_image_names_its_sample_and_opens_it(browser: Browser, address: str) -> None:
    problems: list[str] = []
    page = open_page(browser, f"{address}/confusion", problems=problems)
    card = page.locator(".gallery.cards .tile").first
    name = card.locator("em").inner_text()
    assert name.startswith("test/") and "cat called dog" in card.inner_text()
    card.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(name)
    expect(dialog.get_by_test_id("stVegaLiteChart")).to_be_visible()
    expect(dialog.get_by_test_id("stPageLink")).to_have_count(0)
    assert unexpected(problems) == []
    page.context.close()
