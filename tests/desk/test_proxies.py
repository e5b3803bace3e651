"""The pages behind a proxy that keeps the prefix of its addresses, and behind one that strips it, in a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Page, expect

from lake.storage.store import Lake
from pages.ui.session.navigation import ENTRIES
from tests.support.servers.browser import request, serve, unexpected, wait_until_drawn
from tests.support.servers.proxy import run_proxy

pytestmark = pytest.mark.browser
PREFIX = "/team/proxy/8501/"
STRIPPED, KEPT = "stripped", "kept"
PIXELS = "images => images.filter(i => i.loading !== 'lazy' || i.complete).map(i => i.naturalWidth)"


@pytest.fixture(scope="module")
def prefixed(tiny_lake: str) -> Iterator[str]:
    """Address of the app that expects the prefix."""
    with serve(tiny_lake, f"--server.baseUrlPath={PREFIX}") as address:
        yield address


@pytest.fixture(scope="module", params=[STRIPPED, pytest.param(KEPT, marks=pytest.mark.long)])
def app(request: Any, tiny: str) -> Iterator[str]:
    """Address of the app behind each kind of proxy."""
    kept = request.param == KEPT
    served = request.getfixturevalue("prefixed") if kept else tiny
    with run_proxy(served, PREFIX, strip=not kept) as address:
        yield address


def pictures(page: Page) -> list[str]:
    """Paths of the images of ours that the page has drawn; fails where one has no pixels."""
    images = page.locator('img[src*="thumbnails/"], img[src*="originals/"]')
    widths = images.evaluate_all(PIXELS)
    assert widths and all(widths), widths
    return [urlsplit(src).path for src in images.evaluate_all("images => images.map(i => i.src)")]


def test_pictures_are_drawn_and_links_lead_on(app: str, opened: Any) -> None:
    problems: list[str] = []
    page = opened(f"{app}confusion", problems=problems)
    assert all(path.startswith(f"{PREFIX}thumbnails/") for path in pictures(page))
    page.locator(".gallery .tile").first.click()
    page.get_by_role("dialog").get_by_text("Fetch similar").click()
    expect(page.locator("h1")).to_have_text("Similar", timeout=30_000)
    wait_until_drawn(page)
    assert urlsplit(page.url).path == f"{PREFIX}similar" and pictures(page)
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Overview").click()
    expect(page.locator("h1")).to_have_text("Overview", timeout=30_000)
    assert urlsplit(page.url).path == PREFIX
    assert unexpected(problems) == []


@pytest.mark.long
def test_the_map_and_the_table_show_their_images_and_rows_are_downloaded(app: str, opened: Any, tmp_path: Path) -> None:
    problems: list[str] = []
    page = opened("about:blank", problems=problems, drawn=False)
    for kind, path in {"pictures": "population_map?f=label.is.cat", "thumbnails": "samples"}.items():
        with page.expect_response(re.compile(f"{PREFIX}{kind}/.*png")) as found:
            page.goto(f"{app}{path}")
        assert found.value.status == 200 and found.value.body().startswith(b"\x89PNG")
        wait_until_drawn(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV (240 rows)").click()
    download.value.save_as(tmp_path / "samples.csv")
    assert (tmp_path / "samples.csv").read_text().count("\n") > 200
    assert unexpected(problems) == []


@pytest.mark.long
def test_a_copied_link_opens_what_was_copied(app: str, opened: Any) -> None:
    page = opened(f"{app}samples?f=label.is.cat")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link to this page").click()
    expect(page.get_by_text("Copied")).to_be_visible(timeout=30_000)
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied.startswith(f"{app}samples?") and "f=label.is.cat" in copied


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_address_of_every_page_leads_to_the_app(entry: Any, app: str) -> None:
    for slash in ("", "/"):
        status, headers, _ = request(f"{app}{entry.name}{slash}?f=label.is.cat")
        found = f"{app}{entry.name}?f=label.is.cat"
        if status == 307:
            found = urljoin(f"{app}{entry.name}{slash}?f=label.is.cat", headers["Location"])
        wanted = app if entry is ENTRIES[0] else f"{app}{entry.name}"
        assert (status == 200, found) == (slash == "" and entry is not ENTRIES[0], f"{wanted}?f=label.is.cat")


def test_health_is_answered_below_the_prefix(app: str, tiny_lake: str) -> None:
    assert request(f"{app}healthz")[0] == request(f"{app}_stcore/health")[0] == 200
    status, _, body = request(f"{app}readyz")
    assert status == 200 and Lake(tiny_lake).run().run_id in body.decode()
