"""How long a reader waits on the population map, in a real browser on the lake that is named.

    .venv/bin/python -m benchmarks.app data/lake              # about two minutes
    .venv/bin/python -m benchmarks.app data/lake --repeats 20

Chromium draws in software here; every figure is from the reader's action until what it asked for is on screen.
`plain_map.py`, every sample a mark of altair, is measured in the same run.
"""

import itertools
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from playwright.sync_api import Browser, Page, ViewportSize
from rich.console import Console
from rich.table import Table
from streamlit.testing.v1 import AppTest

from benchmarks.clock import seconds_of
from lake.store import Lake
from tests.apps import FRAME
from tests.browser import chromium, serve, wait_until_drawn

MOVES = 12
VIEWPORT: ViewportSize = {"width": 1400, "height": 900}
GOALS = {
    "page to drawn map, new browser": 2.8,
    "page to drawn map, again": 2.2,
    "another colour": 0.9,
    "box dragged in 12 moves": 1.2,
    "box released to gallery": 0.7,
    "filter to gallery": 0.7,
    "server time of a rerun": 0.2,
}
PLAIN = {"page to drawn map, new browser", "page to drawn map, again", "box dragged in 12 moves"}
"""What the plain map is compared in."""
DRAWN = """() => {
  const charts = [...document.querySelectorAll('[data-testid="stVegaLiteChart"] .marks')];
  const pictures = performance.getEntriesByType('resource').filter(e => e.name.includes('/pictures/'));
  return charts.length > 0 && pictures.every(e => e.responseEnd > 0);
}"""
TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"

console = Console()


def main(
    lake: Annotated[Path, typer.Argument(help="Folder of the lake.")],
    repeats: Annotated[int, typer.Option(min=3, help="How often each action is measured.")] = 7,
) -> None:
    """Every action on the map, its median and 95th percentile, against its goal."""
    rows = {table["name"]: table["rows"] for table in Lake(lake).run().facts["tables"]}["predictions"]
    console.print(f"{rows:,} samples, {repeats} repeats")
    seconds: dict[str, list[float]] = {name: [] for name in GOALS}
    sizes: list[int] = []
    with serve(str(lake)) as address, chromium() as browser:
        _visit(browser, address, seconds, [])  # the first reader after a start: reading the lake is not measured
        for measured in seconds.values():
            measured.clear()
        for _ in range(repeats):
            _visit(browser, address, seconds, sizes)
    with serve(str(lake), script="benchmarks/plain_map.py") as address, chromium() as browser:
        plain: dict[str, list[float]] = {name: [] for name in PLAIN}
        for _ in range(1 + repeats):
            _visit_plain(browser, address, plain)
    seconds["server time of a rerun"] = rerun(str(lake), repeats)
    _show(seconds, {name: float(np.median(values[1:])) for name, values in plain.items()})
    console.print(f"largest message: {max(sizes) / 1e6:.2f} MB (goal 3)")


def rerun(lake: str, repeats: int) -> list[float]:
    """Seconds the script of the page takes when the reader picks another colour, without a browser beside it."""
    os.environ["LATENTLAKE_LAKE"] = lake
    app = AppTest.from_file(FRAME, default_timeout=120).run()
    app.switch_page("../population_map.py").run()
    colors = itertools.cycle(["label", "loss", "predicted", "superclass"])
    app.selectbox(key="map-color").set_value(next(colors)).run()
    return [seconds_of(app.selectbox(key="map-color").set_value(next(colors)).run) for _ in range(4 * repeats)]


def _visit(browser: Browser, address: str, seconds: dict[str, list[float]], sizes: list[int]) -> None:
    """One reader in a browser of their own."""
    context = browser.new_context(viewport=VIEWPORT)
    page = context.new_page()
    page.on("websocket", lambda socket: socket.on("framereceived", lambda payload: sizes.append(len(payload))))
    measure = partial(_measure, page, seconds)
    url = f"{address}/population_map"
    _open_twice(page, measure, url)
    wait_until_drawn(page)
    _change_color(page, measure)
    _drag_box(page, measure)
    selection = page.get_by_text("Selection: ")
    measure("box released to gallery", page.mouse.up, lambda: (selection.wait_for(), _tiles_loaded(page)))
    page.wait_for_timeout(500)
    _switch_filter(page, measure, f"{url}?f=correct.is.false")
    context.close()


def _visit_plain(browser: Browser, address: str, seconds: dict[str, list[float]]) -> None:
    """The same reader on the plain map."""
    context = browser.new_context(viewport=VIEWPORT)
    page = context.new_page()
    measure = partial(_measure, page, seconds)
    _open_twice(page, measure, address)
    page.wait_for_timeout(1000)
    _drag_box(page, measure)
    context.close()


def _measure(
    page: Page, seconds: dict[str, list[float]], name: str, act: Callable[[], object], done: Callable[[], object]
) -> None:
    """Seconds from an action until the page has drawn what `done` waits for."""
    started = time.perf_counter()
    act()
    done()
    page.evaluate(TWO_FRAMES)
    seconds[name].append(time.perf_counter() - started)


def _open_twice(page: Page, measure: Callable[..., None], url: str) -> None:
    for name in ("page to drawn map, new browser", "page to drawn map, again"):
        measure(name, lambda: page.goto(url, wait_until="commit"), lambda: page.wait_for_function(DRAWN))


def _change_color(page: Page, measure: Callable[..., None]) -> None:
    page.get_by_role("combobox", name="Colour").click()
    option = page.get_by_role("option", name="Loss", exact=True)
    shown = '[aria-label*="coloured by Loss"]'
    measure("another colour", option.click, lambda: (page.wait_for_selector(shown), page.wait_for_function(DRAWN)))
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
    measure(
        "filter to gallery",
        toggle.click,
        lambda: (page.wait_for_function(changed, arg=before), _tiles_loaded(page)),
    )


def _tiles_loaded(page: Page) -> None:
    page.wait_for_function(
        "() => [...document.querySelectorAll('.gallery img')].filter(i => i.getBoundingClientRect().top < innerHeight)"
        ".every(i => i.complete)"
    )


def _show(seconds: dict[str, list[float]], plain: dict[str, float]) -> None:
    table = Table("action", "median (s)", "95th percentile (s)", "goal (s)", "plain map (s)", "ours / plain", "n")
    for name, values in seconds.items():
        median = float(np.median(values))
        compared = [f"{plain[name]:.2f}", f"{median / plain[name]:.2f}"] if name in plain else ["", ""]
        cells = [f"{median:.2f}", f"{np.quantile(values, 0.95):.2f}", f"{GOALS[name]:.1f}", *compared]
        table.add_row(name, *cells, str(len(values)))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
