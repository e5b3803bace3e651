"""Real Chromium on a served lake: start the app, open a page, wait until it is drawn."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from pages.ui.session.navigation import Entry
from tests.support.paths import REPOSITORY
from tests.support.servers.axe import violations

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCHEME = os.environ.get("LATENTLAKE_TEST_SCHEME", "light")
"""Colour scheme of browsers for which a test does not choose one; set the variable to run the suite in dark mode."""
# On pages below the root, Streamlit's client probes for the server's base path: it requests /page/_stcore/... first,
# gets a 404, and then requests /_stcore/... Chromium logs each 404 without its URL.
PROBE = re.compile(r"404: http://127\.0\.0\.1:\d+/\w+/_stcore/(health|host-config)")
DRAWN = """() => {
  const inSight = e => e.checkVisibility() && e.getBoundingClientRect().top < innerHeight;
  const seen = id => [...document.querySelectorAll(`[data-testid="${id}"]`)].filter(inSight);
  return !document.querySelector('[data-testid="stSkeleton"]')
    && seen("stVegaLiteChart").every(e => e.querySelector(".marks"))
    && seen("stDataFrame").every(e => e.querySelector("canvas"))
    && [...document.images].every(i => i.loading === "lazy" || i.complete);
}"""
"""Every visible chart, table and image has its marks, canvas or pixels."""
QUIET = 150
"""Milliseconds without a change after which a page counts as drawn: a new component may request more."""
UNTIL_QUIET = f"""() => new Promise(done => {{
  const quiet = () => {{ changes.disconnect(); done(); }};
  let timer = setTimeout(quiet, {QUIET});
  const changes = new MutationObserver(() => {{ clearTimeout(timer); timer = setTimeout(quiet, {QUIET}); }});
  changes.observe(document, {{subtree: true, childList: true, attributes: true, characterData: true}});
}})"""
ECHO = "console: Failed to load resource: the server responded with a status of 404 (Not Found)"


@contextmanager
def serve(lake: str, *options: str, script: str = "streamlit_app.py", **environment: str) -> Iterator[str]:
    """Serve the app, or another script, on a free loopback port; yields its address."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", script, f"--server.port={port}", *options]
    variables = os.environ | {"LATENTLAKE_LAKE": lake, "PYTHONPATH": str(REPOSITORY)} | environment
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_up(address, process)
        yield address
    finally:
        process.terminate()
        process.wait()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=ARGUMENTS,
            env={**os.environ, "LC_ALL": "C.UTF-8"},  # in others it loses downloads into a folder with an é
        )
        yield browser
        browser.close()


def open_page(
    browser: Browser,
    url: str,
    *,
    width: int = 1400,
    height: int = 900,
    scheme: str = SCHEME,
    problems: list[str] | None = None,
    drawn: bool = True,
) -> Page:
    """Open the URL in a fresh browser context and wait until it is drawn; `problems` collects what goes wrong."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    if problems is not None:
        _collect_problems(page, problems)
    page.goto(url)
    if drawn:
        wait_until_drawn(page)
    return page


def _collect_problems(page: Page, problems: list[str]) -> None:
    """Collect console errors, uncaught exceptions, failed requests, and requests that leave loopback."""
    page.on("console", lambda m: problems.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(f"exception: {error}"))
    page.on("response", lambda r: problems.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
    page.on("request", lambda r: problems.append(f"leaves loopback: {r.url}") if _is_foreign(r.url) else None)


def _is_foreign(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))


def wait_until_drawn(page: Page) -> None:
    """Wait until the script has finished, the footer exists, and everything visible is drawn and stays quiet."""
    page.wait_for_selector("text=checks passed", timeout=60_000, state="attached")
    for _ in range(2):  # the first message of a component reruns the script
        wait_until_quiet(page)


def wait_until_quiet(page: Page) -> None:
    """Wait until the script has finished, and everything visible is drawn and no longer changes."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=60_000)
    page.wait_for_function(DRAWN, timeout=30_000)
    page.evaluate(UNTIL_QUIET)


def eventually(holds: Callable[[], bool], *, seconds: float = 10) -> None:
    """Wait until `holds()` is true. Raises `AssertionError` if it never is."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never held"
        time.sleep(0.05)


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_up(address: str, process: subprocess.Popen[bytes], *, path: str = "/_stcore/health") -> None:
    """Wait until the server of a process answers. Raises `RuntimeError` if it ends first, or after two minutes."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server stopped with code {process.returncode}")
        try:
            with urllib.request.urlopen(f"{address}{path}", timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the server did not come up in two minutes")


def unexpected(problems: list[str]) -> list[str]:
    """The problems without the probes for a base path and their echoes in the console."""
    probes = sum(1 for problem in problems if PROBE.fullmatch(problem))
    kept = [problem for problem in problems if not PROBE.fullmatch(problem)]
    for _ in range(min(probes, kept.count(ECHO))):
        kept.remove(ECHO)
    return kept


def chart(page: Page) -> Locator:
    return page.get_by_test_id("stVegaLiteChart").first


def mark(page: Page, label: str) -> Locator:
    """The marks of the first chart whose description matches."""
    return chart(page).locator("[aria-roledescription]").and_(page.locator(f'[aria-label*="{label}"]'))


def drag_in(page: Page, area: Locator, *places: tuple[float, float]) -> None:
    """Drag the mouse from place to place, each given as fractions of an area's width and height."""
    box = area.bounding_box()
    assert box
    first, *others = ((box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places)
    page.mouse.move(*first)
    page.mouse.down()
    for place in others:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def get(url: str) -> tuple[int, str, bytes]:
    """Status, Cache-Control and body of a GET; the path is sent verbatim."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.headers.get("Cache-Control", ""), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, "", error.read()


def request(url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> tuple[int, Message, bytes]:
    """Status, headers and body; the path is sent verbatim, and only the given headers are set."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=20)
    connection.request(method, url.removeprefix(f"http://{address.netloc}"), headers=dict(headers or {}))
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


BEYOND = """main => {
  const clips = e => /auto|scroll|hidden/.test(getComputedStyle(e).overflowX);
  const scrolls = e => e !== main && (clips(e) || scrolls(e.parentElement));
  return [...main.querySelectorAll("h1, h2, h3, p, button, svg.marks, [data-testid=stDataFrame]")]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e.parentElement))
    .map(e => e.outerHTML.slice(0, 120));
}"""
"""Elements that extend beyond the window and cannot be scrolled to."""


def expect_whole(page: Page, entry: Entry) -> None:
    """Assert that the page is shown without errors, fits its window, and has no accessibility violations."""
    expect(page.locator("h1")).to_have_text(entry.title)
    assert page.get_by_test_id("stException").count() == 0
    assert page.get_by_text(re.compile("Traceback|Page not found")).count() == 0
    assert page.locator("html").evaluate("e => e.scrollWidth - innerWidth") <= 0
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth - e.clientWidth") <= 0
    assert violations(page) == []


def brightness(page: Page) -> float:
    """Mean of the background's red, green and blue, 0..255."""
    color = page.get_by_test_id("stApp").evaluate("e => getComputedStyle(e).backgroundColor")
    return sum(map(int, re.findall(r"\d+", color)[:3])) / 3


def knock(address: str, host: str, *, origin: str = "") -> str:
    """The status line of a websocket handshake under a host name, from a page of that host or of another `origin`."""
    name, port = address.removeprefix("http://").split(":")
    lines = [
        "GET /_stcore/stream HTTP/1.1",
        f"Host: {host}",
        f"Origin: {origin or f'http://{host}'}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    with socket.create_connection((name, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection.recv(1000).decode().split("\r\n")[0]
