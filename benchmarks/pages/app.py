"""Measure how long a reader waits on the population map, in a real browser on the given lake.

    .venv/bin/python -m benchmarks.pages.app data/lake              # about two minutes
    .venv/bin/python -m benchmarks.pages.app data/lake --repeats 20

Chromium renders in software here; every figure is the time from the reader's action until the result is on screen.
`plain_map.py`, an altair chart with a mark for every sample, is measured in the same run.
"""

import itertools
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer
from playwright.sync_api import Browser, Page, ViewportSize
from rich.console import Console
from rich.table import Table
from streamlit.testing.v1 import AppTest

from benchmarks.support.clock import seconds_of
from lake.storage.store import Lake
from pages.charts.projection_layers import DOTS
from pages.ui.session.navigation import ENTRIES
from tests.support.servers.apps import FRAME
from tests.support.servers.browser import chromium, serve, wait_until_drawn

MOVES = 12
VIEWPORT: ViewportSize = {"width": 1400, "height": 900}
COLD = "page to drawn map, server just started"
GOALS = {
    COLD: 4.0,
    "page to drawn map, new browser": 2.8,
    "page to drawn map, again": 2.2,
    "another colour": 0.9,
    "box dragged in 12 moves": 1.2,
    "box released to gallery": 0.7,
    "filter to gallery": 0.7,
    "server time of a rerun": 0.2,
}
PLAIN = {"page to drawn map, new browser", "page to drawn map, again", "box dragged in 12 moves"}
"""The actions compared with the plain map."""
LARGE = 200_000
"""Number of samples above which the plain map is not drawn within half a minute."""
LARGE_GOALS = {COLD: 4.0, "filter to gallery": 1.0, "box released to gallery": 0.5}
SESSIONS = 5
PICTURES = "performance.getEntriesByType('resource').filter(e => e.name.includes('/pictures/')).length"
DRAWN = f"""pictures => {PICTURES} >= pictures
  && document.querySelectorAll('[data-testid="stVegaLiteChart"] .marks').length > 0"""
"""Whether there is a chart, and at least `pictures` pictures below its dots have arrived."""
TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"

console = Console()


def main(
    lake: Annotated[Path, typer.Argument(help="Folder of the lake.")],
    repeats: Annotated[int, typer.Option(min=3, help="How often each action is measured.")] = 7,
) -> None:
    """Print the median and 95th percentile of every action on the map, with its goal."""
    rows = {table["name"]: table["rows"] for table in Lake(lake).run().facts["tables"]}["predictions"]
    console.print(f"{rows:,} samples, {repeats} repeats")
    seconds: dict[str, list[float]] = {name: [] for name in GOALS}
    sizes: list[int] = []
    pictures = int(rows > DOTS)
    cold = [_start_and_open(str(lake), pictures) for _ in range(3)]
    with serve(str(lake)) as address, chromium() as browser:
        _visit(browser, address, seconds, [], pictures)  # not measured: costs that only the first reader has
        for measured in seconds.values():
            measured.clear()
        for _ in range(repeats):
            _visit(browser, address, seconds, sizes, pictures)
        memory = _hold_sessions(browser, address)
    plain = {} if rows > LARGE else _measure_plain(str(lake), repeats)
    seconds |= {COLD: cold, "server time of a rerun": rerun(str(lake), repeats)}
    _show(seconds, plain, LARGE_GOALS if rows > LARGE else GOALS)
    console.print(f"largest message: {max(sizes) / 1e6:.2f} MB (goal 3)")
    console.print(f"server with {SESSIONS} sessions: {memory}")


def _start_and_open(lake: str, pictures: int) -> float:
    """Seconds from the first response of a new server until it has the map drawn in a new browser."""
    seconds: dict[str, list[float]] = {COLD: []}
    with serve(lake) as address, chromium() as browser:
        page = browser.new_context(viewport=VIEWPORT).new_page()
        _open(page, partial(_measure, page, seconds), COLD, f"{address}/population_map", pictures)
    return seconds[COLD][0]


def _hold_sessions(browser: Browser, address: str) -> str:
    """Memory of the server after several readers have each viewed every page, in words."""
    pages = [browser.new_context(viewport=VIEWPORT).new_page() for _ in range(SESSIONS)]
    for entry in ENTRIES:
        for page in pages:
            page.goto(f"{address}/{entry.path}")
            wait_until_drawn(page)
    (server,) = (child for child in psutil.Process().children() if "streamlit" in child.cmdline())
    memory = server.memory_full_info()
    own, mapped = memory.rss - memory.shared, memory.shared
    return f"{own / 2**20:,.0f} MiB of its own, and {mapped / 2**20:,.0f} MiB of files that it has mapped"


def _measure_plain(lake: str, repeats: int) -> dict[str, float]:
    """The medians for the plain map."""
    with serve(lake, script="benchmarks/pages/plain_map.py") as address, chromium() as browser:
        plain: dict[str, list[float]] = {name: [] for name in PLAIN}
        for _ in range(1 + repeats):
            _visit_plain(browser, address, plain)
    return {name: float(np.median(values[1:])) for name, values in plain.items()}


def rerun(lake: str, repeats: int) -> list[float]:
    """Seconds that the script of the page takes when the reader selects another colour, without a browser."""
    os.environ["LATENTLAKE_LAKE"] = lake
    app = AppTest.from_file(FRAME, default_timeout=120).run()
    app.switch_page("../../population_map.py").run()
    colors = itertools.cycle(["label", "loss", "predicted", "superclass"])
    app.selectbox(key="map-color").set_value(next(colors)).run()
    return [seconds_of(app.selectbox(key="map-color").set_value(next(colors)).run) for _ in range(4 * repeats)]


def _visit(browser: Browser, address: str, seconds: dict[str, list[float]], sizes: list[int], pictures: int) -> None:
    """One reader in a fresh browser; the map waits for the given number of `pictures`."""
    context = browser.new_context(viewport=VIEWPORT)
    page = context.new_page()
    page.on("websocket", lambda socket: socket.on("framereceived", lambda payload: sizes.append(len(payload))))
    measure = partial(_measure, page, seconds)
    url = f"{address}/population_map"
    _open_twice(page, measure, url, pictures)
    wait_until_drawn(page)
    _change_color(page, measure, pictures)
    _drag_box(page, measure)
    selection = page.get_by_text("Selection: ")

    def gallery_is_there() -> None:
        selection.wait_for()
        _tiles_loaded(page)

    measure("box released to gallery", page.mouse.up, gallery_is_there)
    page.wait_for_timeout(500)
    _switch_filter(page, measure, f"{url}?f=correct.is.false")
    context.close()


def _visit_plain(browser: Browser, address: str, seconds: dict[str, list[float]]) -> None:
    """The same reader on the plain map."""
    context = browser.new_context(viewport=VIEWPORT)
    page = context.new_page()
    measure = partial(_measure, page, seconds)
    _open_twice(page, measure, address, 0)
    page.wait_for_timeout(1000)
    _drag_box(page, measure)
    context.close()


def _measure(
    page: Page, seconds: dict[str, list[float]], name: str, act: Callable[[], object], done: Callable[[], object]
) -> None:
    """Measure the seconds from an action until the page has drawn what `done` waits for."""
    started = time.perf_counter()
    act()
    done()
    page.evaluate(TWO_FRAMES)
    seconds[name].append(time.perf_counter() - started)


def _open_twice(page: Page, measure: Callable[..., None], url: str, pictures: int) -> None:
    for name in ("page to drawn map, new browser", "page to drawn map, again"):
        _open(page, measure, name, url, pictures)


def _open(page: Page, measure: Callable[..., None], name: str, url: str, pictures: int) -> None:
    measure(
        name,
        lambda: page.goto(url, wait_until="commit"),
        lambda: page.wait_for_function(DRAWN, arg=pictures, timeout=120_000),
    )


def _change_color(page: Page, measure: Callable[..., None], pictures: int) -> None:
    wanted = page.evaluate(PICTURES) + pictures
    page.get_by_role("combobox", name="Colour").click()
    option = page.get_by_role("option", name="Loss", exact=True)
    shown = '[aria-label*="coloured by Loss"]'
    measure(
        "another colour",
        option.click,
        lambda: (page.wait_for_selector(shown), page.wait_for_function(DRAWN, arg=wanted)),
    )
    page.wait_for_timeout(500)


def _drag_box(page: Page, measure: Callable[..., None]) -> None:
    box = page.get_by_test_id("stVegaLiteChart").first.bounding_box()
    assert box
    x, y, width, height = box["x"], box["y"], box["width"], box["height"]
    page.mouse.move(x + width * 0.15, y + height * 0.15)
    page.mouse.down()

    def drag() -> None:
        for i in range(1, MOVES + 1):
            page.mouse.move(x + width * (0.15 + 0.4 * i / MOVES), y + height * (0.15 + 0.6 * i / MOVES))

    measure("box dragged in 12 moves", drag, lambda: None)


def _switch_filter(page: Page, measure: Callable[..., None], url: str) -> None:
    page.goto(url)
    wait_until_drawn(page)
    before = page.get_by_text("All shown: ").inner_text()
    changed = "text => ![...document.querySelectorAll('p')].some(p => p.innerText === text)"
    toggle = page.get_by_test_id("stSidebar").get_by_test_id("stCheckbox").first

    def gallery_is_another() -> None:
        page.wait_for_function(changed, arg=before)
        _tiles_loaded(page)

    measure("filter to gallery", toggle.click, gallery_is_another)


def _tiles_loaded(page: Page) -> None:
    page.wait_for_function(
        "() => [...document.querySelectorAll('.gallery img')].filter(i => i.getBoundingClientRect().top < innerHeight)"
        ".every(i => i.complete)"
    )


def _show(seconds: dict[str, list[float]], plain: dict[str, float], goals: dict[str, float]) -> None:
    table = Table("action", "median (s)", "95th percentile (s)", "goal (s)", "plain map (s)", "ours / plain", "n")
    for name, values in seconds.items():
        median = float(np.median(values))
        compared = [f"{plain[name]:.2f}", f"{median / plain[name]:.2f}"] if name in plain else ["", ""]
        goal = f"{goals[name]:.1f}" if name in goals else ""
        cells = [f"{median:.2f}", f"{np.quantile(values, 0.95):.2f}", goal, *compared]
        table.add_row(name, *cells, str(len(values)))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
