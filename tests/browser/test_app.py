"""The served app in Chromium: deep links, light and dark, clicks, addresses, thumbnails."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from pages.ui.session.navigation import ENTRIES, Entry
from tests.support.lakes.tiny_lake import RUN_ID
from tests.support.servers.browser import (
    BEYOND,
    brightness,
    expect_whole,
    get,
    serve,
    unexpected,
    wait_until_drawn,
)

pytestmark = pytest.mark.browser
IN_LIGHT_AND_DARK = pytest.mark.parametrize("scheme", ["light", "dark"])
FILTER = "label.is.cat;correct.is.false"


@pytest.mark.long
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_server_that_has_just_started_answers_a_deep_link_whole_at_three_widths_in_light_and_dark(
    entry: Entry, tiny_lake: str, opened: Any
) -> None:
    problems: list[str] = []
    with serve(tiny_lake) as address:
        page = opened(f"{address}/{entry.path}", drawn=False, scheme="light", problems=problems)
        expect(page.locator("h1")).to_have_text(entry.title, timeout=30_000)
        expect(page.get_by_text("checks passed")).to_be_attached(timeout=30_000)
        assert page.get_by_role("dialog").count() == 0
        assert re.search(rf"/{entry.path}\?run=", page.url)
        wait_until_drawn(page)
        expect_whole(page, entry)
        assert brightness(page) > 200
        page.emulate_media(color_scheme="dark")
        wait_until_drawn(page)
        expect_whole(page, entry)
        assert brightness(page) < 60
        for width, height in ((1024, 768), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            page.reload()  # Streamlit's tables keep the width they were drawn at
            wait_until_drawn(page)
            expect_whole(page, entry)
            assert page.get_by_test_id("stMain").evaluate(BEYOND) == []
        assert unexpected(problems) == []


@pytest.mark.long
def test_a_copied_address_shows_the_same_run_and_filters_elsewhere(tiny: str, opened: Any) -> None:
    first = opened(f"{tiny}/samples?f={FILTER}")
    first.get_by_role("link", name="Where it fails").click()
    expect(first.locator("h1")).to_contain_text("Where it fails")
    wait_until_drawn(first)
    assert f"run={RUN_ID}" in first.url
    second = opened(first.url)
    for page in (first, second):
        expect(page.get_by_text("label: cat")).to_be_visible()
        expect(page.get_by_text("correct: false")).to_be_visible()
    answers = [page.locator("h2").first.inner_text() for page in (first, second)]
    assert answers[0] == answers[1]


@pytest.mark.long
def test_the_copied_link_of_a_finding_opens_that_finding(tiny: str, opened: Any) -> None:
    page = opened(tiny)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link", exact=True).nth(1).click()
    expect(page.get_by_text("Copied", exact=True)).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.endswith(f"/?run={RUN_ID}&finding=2")
    expect(opened(copied).locator("h3").first).to_have_text("The finding of this link")


@pytest.mark.long
@IN_LIGHT_AND_DARK
def test_the_tour_leads_from_the_overview_through_six_steps_and_back(scheme: str, tiny: str, opened: Any) -> None:
    problems: list[str] = []
    page = opened(tiny, scheme=scheme, problems=problems)
    page.get_by_role("link", name="Take the tour").click()
    for step, title in enumerate(["Population map", "Population map", "Where it fails", "Groups", "Similar", "Why"], 1):
        expect(page.get_by_text(re.compile(rf"^{step} of 6 · "))).to_be_visible(timeout=30_000)
        expect(page.locator("h1")).to_have_text(title)
        wait_until_drawn(page)
        if step < 6:
            page.get_by_role("link", name=re.compile("^Next: ")).click()
    page.get_by_role("link", name="End the tour").click()
    expect(page.locator("h1")).to_have_text("Overview")
    assert page.get_by_text(" of 6 · ").count() == 0
    assert unexpected(problems) == []


@pytest.mark.long
def test_a_hostile_address_is_refused_and_asks_nobody_else(tiny: str, opened: Any) -> None:
    problems: list[str] = []
    text = "%5Bx%5D(https%3A%2F%2Fexample.org).is.%3Cimg%20src%3Dhttps%3A%2F%2Fexample.org%3E"
    page = opened(f"{tiny}/?f={text}", problems=problems)
    expect(page.get_by_test_id("stToast")).to_contain_text("filter was ignored")
    expect(page.locator("h1")).to_have_text("Overview")
    assert page.locator('a[href*="example.org"], img[src*="example.org"]').count() == 0
    assert unexpected(problems) == []


@pytest.mark.long
def test_an_empty_lake_shows_the_command(empty_lake: str, opened: Any) -> None:
    with serve(empty_lake) as address:
        page = opened(f"{address}/confusion", drawn=False)
        expect(page.get_by_text("latentlake refresh --preset quick --lake")).to_be_visible(timeout=30_000)
        assert page.get_by_text("Page not found").count() == 0


# --- thumbnails


def test_a_thumbnail_is_a_png_that_browsers_keep_for_ever(tiny: str) -> None:
    status, cached, body = get(f"{tiny}/thumbnails/tiny-240-0/0.png")
    assert status == 200
    assert body.startswith(b"\x89PNG")
    assert "immutable" in cached


@pytest.mark.parametrize(
    "path",
    [
        "tiny-240-0/999999.png",
        "tiny-240-0/-1.png",
        "tiny-240-0/99999999999999999999999999.png",
        "tiny-240-0/x.png",
        "no-such-dataset/0.png",
        "TINY'%20OR%20'1'='1/0.png",
        "../0.png",
        "..%2f..%2fetc%2fpasswd/0.png",
        "tiny-240-0/../../../../etc/passwd",
        "tiny-240-0/%2e%2e/%2e%2e/runs/0.png",
        "%00/0.png",
    ],
)
def test_no_other_path_under_thumbnails_gives_a_file(path: str, tiny: str) -> None:
    status, _, body = get(f"{tiny}/thumbnails/{path}")
    assert status in (400, 404), body[:200]
    assert not body.startswith((b"\x89PNG", b"root:"))
