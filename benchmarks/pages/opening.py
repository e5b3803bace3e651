"""Measure how long a reader waits for each page in a real browser, on the given lake.

    .venv/bin/python -m tests.support.lakes.synthetic /tmp/classes --samples 200000 --classes 1000  # makes a lake
    .venv/bin/python -m benchmarks.pages.opening /tmp/classes                                      # about three minutes

Each time is for a new browser, from the address until the script has finished and the charts and images in view are
drawn. The server has already shown every page once.
"""

import os
import time
from typing import Annotated

import numpy as np
import typer
from playwright.sync_api import Browser
from rich.console import Console
from rich.table import Table

from benchmarks.pages.app import TWO_FRAMES, VIEWPORT
from pages.ui.session.navigation import ENTRIES
from tests.support.servers.browser import QUIET, chromium, serve, wait_until_drawn

SETTLED = 2 * QUIET / 1000
"""Seconds that `wait_until_drawn` waits after everything is there."""


def main(
    lake: Annotated[str, typer.Argument(help="Root of the lake.")],
    repeats: Annotated[int, typer.Option(min=3, help="How often each page is opened.")] = 10,
) -> None:
    """Print the median and 95th percentile of every page."""
    with serve(lake) as address, chromium() as browser:
        for entry in ENTRIES:
            open_in_new_browser(browser, f"{address}/{entry.path}")
        seconds = {
            entry.name: [open_in_new_browser(browser, f"{address}/{entry.path}") for _ in range(repeats)]
            for entry in ENTRIES
        }
    table = Table("seconds", "median", "95th percentile", "n", title=f"load {os.getloadavg()[0]:.1f}")
    for name, values in seconds.items():
        table.add_row(name, *(f"{np.quantile(values, q):.2f}" for q in (0.5, 0.95)), str(len(values)))
    Console().print(table)


def open_in_new_browser(browser: Browser, url: str) -> float:
    """Seconds until the page is drawn."""
    context = browser.new_context(viewport=VIEWPORT)
    page = context.new_page()
    started = time.perf_counter()
    page.goto(url, wait_until="commit")
    wait_until_drawn(page)
    page.evaluate(TWO_FRAMES)
    seconds = time.perf_counter() - started - SETTLED
    context.close()
    return seconds


if __name__ == "__main__":
    typer.run(main)
