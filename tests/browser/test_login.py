"""A login that is configured: a real provider on loopback, the real server, a real browser; who gets what."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from playwright.sync_api import Page

from lake.query.reviews import scan_reviews
from lake.storage.store import Lake
from pages.text.formatting import WORD_JOINER
from pages.ui.internals.streamlit_internals import USER_COOKIE_NAME
from tests.support.lakes.tiny_lake import RUN_ID
from tests.support.servers.browser import request, serve, wait_until_drawn, wait_until_quiet
from tests.support.servers.oidc_provider import Provider, run_provider

SECRET = "only for these tests, 32 letters"
ADA = {"is_logged_in": True, "email": "ada@example.org"}
IMAGE = "/thumbnails/tiny-240-0/3.png"
MONTHS = 60 * 24 * 3600
DATA = [
    IMAGE,
    "/originals/tiny-240-0/8",
    f"/pictures/{RUN_ID}.png",
    "/metrics",
    "/media/0123456789abcdef.csv",
    "/_stcore/metrics",
    "/_stcore/bidi-components/gallery/index.js",
    "/_stcore/agent/openapi.json",
    "/component/anything/index.html",
    "/app/static/anything",
    "/a-route-that-comes-later",
    "/THUMBNAILS/tiny-240-0/3.png",
    "/static/../thumbnails/tiny-240-0/3.png",
    "//thumbnails/tiny-240-0/3.png",
    "/%74humbnails/tiny-240-0/3.png",
]

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with run_provider() as running:
        yield running


@pytest.fixture(scope="module")
def secrets(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("secrets") / "secrets.toml"
    file.write_text(provider.secrets_toml(SECRET))
    return file


@pytest.fixture(scope="module")
def gated(tiny_lake: str, secrets: Path) -> Iterator[str]:
    """Address of the app for people of example.org only."""
    with serve(tiny_lake, f"--secrets.files={secrets}", LATENTLAKE_ALLOWED_USERS="@example.org") as address:
        yield address


@pytest.fixture
def come(opened: Callable[..., Page], provider: Provider) -> Callable[..., Page]:
    """`come(url, email=...)` is a page after its log-in button was pressed by that person."""

    def come_as(url: str, *, email: str = "ada@example.org", **claims: Any) -> Page:
        provider.person = {"sub": "1", "email": email, "email_verified": True} | claims
        page = opened(url, drawn=False)
        page.get_by_role("button", name="Log in").click()
        return page

    return come_as


def signed(claims: dict[str, Any], *, secret: str = SECRET, age: int = 0) -> str:
    """A cookie as Streamlit signs it, so many seconds ago."""

    class Then(TimestampSigner):
        def get_timestamp(self) -> int:
            return int(time.time()) - age

    content = URLSafeTimedSerializer(secret, salt=USER_COOKIE_NAME, signer=Then).dumps(json.dumps(claims))
    return f"{USER_COOKIE_NAME}={content}"


def says_nothing(text: str) -> bool:
    """Whether there is no figure in it: neither a count nor a date nor a run."""
    return not re.search(r"\d", text)


# --- before the login


def test_strangers_see_a_button_and_nothing_of_the_lake(gated: str, opened: Callable[..., Page]) -> None:
    for path in ("", "samples", f"population_map?run={RUN_ID}"):
        page = opened(f"{gated}/{path}", drawn=False)
        page.get_by_role("button", name="Log in").wait_for()
        wait_until_quiet(page)
        assert says_nothing(page.inner_text("body"))
        assert page.get_by_test_id("stSidebar").count() == 0


def test_the_websocket_of_a_stranger_carries_nothing_of_the_lake(
    gated: str, tiny_lake: str, opened: Callable[..., Page]
) -> None:
    page = opened(gated, drawn=False)
    frames: list[bytes] = []
    page.on(
        "websocket",
        lambda ws: ws.on(
            "framereceived", lambda frame: frames.append(frame if isinstance(frame, bytes) else frame.encode())
        ),
    )
    page.reload()
    page.get_by_role("button", name="Log in").wait_for()
    wait_until_quiet(page)
    received = b"".join(frames)
    assert b"Log in" in received
    assert not [word for word in (RUN_ID, "tiny-240-0", tiny_lake) if word.encode() in received]


@pytest.mark.parametrize("path", DATA)
def test_strangers_are_refused_everything_that_could_be_data(path: str, gated: str) -> None:
    status, _, body = request(gated + path, headers={"X-Forwarded-For": "192.0.2.7"})
    assert status in (400, 401)
    assert body in (b"Log in first.", b"A token is needed.", b"Bad Request")


def test_strangers_cannot_upload(gated: str) -> None:
    for method in ("PUT", "POST", "DELETE"):
        assert request(f"{gated}/_stcore/upload_file/a/b", method=method)[0] == 401


def test_a_stranger_learns_whether_the_app_is_ready_and_no_more(gated: str) -> None:
    for path in ("/healthz", "/readyz"):
        status, headers, body = request(gated + path, headers={"X-Forwarded-For": "192.0.2.7"})
        assert (status, body) == (200, b"ok")
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_this_machine_may_ask_for_figures_and_a_proxy_on_it_may_not(gated: str) -> None:
    assert json.loads(request(f"{gated}/readyz")[2])["run_id"] == RUN_ID
    assert RUN_ID.encode() in request(f"{gated}/metrics")[2]
    for forwarded in ({"Forwarded": "for=192.0.2.7"}, {"X-Forwarded-Proto": "https"}):
        assert request(f"{gated}/metrics", headers=forwarded)[0] == 401


# --- cookies


@pytest.mark.parametrize(
    ("claims", "how"),
    [
        (ADA, {"secret": "another secret of 32 letters ..."}),
        (ADA, {"age": MONTHS}),
        (ADA | {"origin": "https://example.org"}, {}),
        (ADA | {"is_logged_in": False}, {}),
        (ADA | {"email": "eve@example.com"}, {}),
        (ADA | {"email": "eve@sub.example.org"}, {}),
        (ADA | {"email": "ada@example.org@example.com"}, {}),
        (ADA | {"email_verified": False}, {}),
        ({"is_logged_in": True}, {}),
    ],
    ids=["forged", "expired", "other app", "out", "not listed", "subdomain", "two at", "unverified", "nameless"],
)
def test_a_cookie_that_proves_nobody_on_the_list_opens_nothing(
    claims: dict[str, Any], how: dict[str, Any], gated: str
) -> None:
    cookie = signed({"origin": gated} | claims, **how)
    assert request(gated + IMAGE, headers={"Cookie": cookie})[0] == 401


def test_a_signed_cookie_of_somebody_on_the_list_opens_images(gated: str) -> None:
    for email in ("ada@example.org", "ADA@Example.org"):
        cookie = signed(ADA | {"origin": gated, "email": email})
        status, headers, body = request(gated + IMAGE, headers={"Cookie": cookie})
        assert (status, headers["Content-Type"], body[:4]) == (200, "image/png", b"\x89PNG")


@pytest.mark.parametrize("cookie", ["", "x", "a.b.c", "\x80\xff", f"{USER_COOKIE_NAME}=", "chunks-99999999"])
def test_a_cookie_of_noise_is_refused_and_breaks_nothing(cookie: str, gated: str) -> None:
    assert request(gated + IMAGE, headers={"Cookie": f"{USER_COOKIE_NAME}={cookie}"})[0] == 401


def test_the_browser_with_a_forged_cookie_is_a_stranger(gated: str, opened: Callable[..., Page]) -> None:
    page = opened(gated, drawn=False)
    _, _, value = signed(ADA | {"origin": gated}, secret="guessed, and not the right one").partition("=")
    page.context.add_cookies([{"name": USER_COOKIE_NAME, "value": value, "url": gated}])
    page.reload()
    page.get_by_role("button", name="Log in").wait_for()
    assert says_nothing(page.inner_text("body"))


# --- the login


def test_who_logs_in_reads_and_who_logs_out_sees_nothing(gated: str, come: Callable[..., Page]) -> None:
    page = come(gated)
    wait_until_drawn(page)
    assert page.get_by_role("heading", name="Overview").is_visible()
    assert f"Logged in as ada{WORD_JOINER}@example.org" in page.inner_text("body")
    assert page.request.get(gated + IMAGE).status == 200
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Log in").wait_for()
    wait_until_quiet(page)
    assert says_nothing(page.inner_text("body"))
    fetched = page.evaluate("async path => (await fetch(path)).status", IMAGE)
    assert fetched == 401, "not even from the browser's cache"


@pytest.mark.long
def test_a_download_needs_the_login_too(gated: str, come: Callable[..., Page]) -> None:
    page = come(gated)
    wait_until_drawn(page)
    page.get_by_role("link", name="Data quality").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export this list as CSV").click()
    path = urlsplit(download.value.url).path
    assert path.startswith("/media/")
    assert page.request.get(gated + path).status == 200
    assert request(gated + path)[0] == 401


@pytest.mark.long
def test_somebody_who_is_not_on_the_list_sees_their_name_and_the_way_out(gated: str, come: Callable[..., Page]) -> None:
    page = come(gated, email="eve@example.com")
    page.get_by_role("heading", name="No access").wait_for()
    page.get_by_text(f"You are logged in as eve{WORD_JOINER}@example.com").wait_for()
    assert page.locator("a[href^=mailto]").count() == 0
    assert says_nothing(page.inner_text("body"))
    assert page.request.get(gated + IMAGE).status == 401
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Log in").wait_for()


@pytest.mark.long
def test_reviews_are_signed_with_the_email_of_who_is_logged_in(
    lake_copy: Path, secrets: Path, come: Callable[..., Page]
) -> None:
    with serve(str(lake_copy), f"--secrets.files={secrets}") as address:
        page = come(address)
        wait_until_drawn(page)
        page.get_by_role("link", name="Data quality").click()
        page.get_by_role("tab", name="Review queue").click()
        assert page.get_by_label("Your name").count() == 0
        page.get_by_role("button", name="Label is fine").click()
        page.get_by_role("button", name="Take back: sample").wait_for()
    kept = scan_reviews(Lake(lake_copy), "tiny-240-0").collect()
    assert kept.select("reviewer", "verdict").rows() == [("ada@example.org", "fine")]
