"""Addresses that lead to the app: bookmarks of all pages, and what Streamlit's client asks as it looks for the app."""

from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import expect

from pages.ui.session.navigation import ENTRIES, Entry
from tests.support.servers.browser import request, serve

pytestmark = pytest.mark.browser
FILTER = "f=label.is.cat"
EACH_PAGE = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


@EACH_PAGE
@pytest.mark.parametrize("slash", ["", "/"], ids=["plain", "slash"])
def test_a_bookmark_leads_to_its_page_with_its_filter(entry: Entry, slash: str, tiny: str) -> None:
    place = f"{tiny}/{entry.name}{slash}?{FILTER}"
    status, headers, body = request(place)
    home = f"{tiny}/" if entry is ENTRIES[0] else f"{tiny}/{entry.name}"
    if place != f"{home}?{FILTER}":
        assert status == 307 and not headers["Location"].startswith("/")
        place = urljoin(place, headers["Location"])
        status, _, body = request(place)
    assert (status, place) == (200, f"{home}?{FILTER}")
    assert b"BACKEND_BASE_URL" in body


@EACH_PAGE
@pytest.mark.parametrize("asked", ["health", "host-config"])
def test_what_is_asked_below_a_page_is_answered_as_at_the_root(entry: Entry, asked: str, tiny: str) -> None:
    status, _, body = request(f"{tiny}/_stcore/{asked}")
    below, _, body_below = request(f"{tiny}/{entry.name}/_stcore/{asked}")
    assert (below, body_below) == (status, body) and status == 200


def test_below_an_address_without_a_page_nothing_is_answered(tiny: str) -> None:
    for path in ("nowhere/_stcore/health", "samples/samples/_stcore/health", "samples/_stcore/stream/health"):
        assert request(f"{tiny}/{path}")[2] != b"ok"


def test_the_address_of_the_overview_opens_it_and_a_deep_link_asks_nothing_in_vain(tiny: str, opened: Any) -> None:
    problems: list[str] = []
    page = opened(f"{tiny}/overview?{FILTER}", problems=problems)
    expect(page.locator("h1")).to_have_text("Overview", timeout=30_000)
    assert page.get_by_text("Page not found").count() == 0
    assert page.url.startswith(f"{tiny}/?") and FILTER in page.url
    page.goto(f"{tiny}/runs/")
    expect(page.locator("h1")).to_have_text("Runs", timeout=30_000)
    assert problems == []


@pytest.mark.long
def test_health_is_answered_at_the_root_beside_a_base_path(tiny_lake: str) -> None:
    with serve(tiny_lake, "--server.baseUrlPath=/lake/") as address:
        for path in ("_stcore/health", "healthz", "readyz", "lake/_stcore/health", "lake/healthz", "lake/"):
            assert request(f"{address}/{path}")[0] == 200
        for path in ("samples", "thumbnails/tiny-240-0/3.png"):
            assert request(f"{address}/{path}")[0] == 404
