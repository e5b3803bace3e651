"""Measure the server time of readers' actions on each page, without a browser, on the given lake.

    .venv/bin/python -m tests.support.lakes.synthetic /tmp/million --samples 1000000   # if there is no lake
    .venv/bin/python -m benchmarks.pages.interactions /tmp/million

Every action leads to a different state than the one before, so no cache holds its result, except those per run.
"""

import json
import os
import resource
import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated

import numpy as np
import typer
from altair.utils.schemapi import disable_debug_mode
from rich.console import Console
from rich.table import Table
from streamlit.testing.v1 import AppTest

from benchmarks.support.clock import seconds_of
from lake.storage.store import Lake
from tests.support.servers.apps import FRAME

ACTIONS: dict[str, tuple[str, Callable[[int], dict[str, str]]]] = {
    "overview": ("overview", lambda n: {"f": _filter(n)}),
    "map, another filter": ("population_map", lambda n: {"f": _filter(n)}),
    "where it fails": ("confusion", lambda n: {"f": _filter(n)}),
    "gallery of a group": ("clusters", lambda n: {"f": _filter(n)}),
    "why, a sample": ("loss_analysis", lambda n: {"sample": str(n)}),
    "similar samples": ("similar", lambda n: {"sample": str(101 * n + 1)}),
    "table, another filter": ("samples", lambda n: {"f": _filter(n), "sort": "-loss"}),
    "data quality": ("data_quality", lambda n: {"f": _filter(n)}),
}
"""Name of an action -> the page, and the address for its n-th repetition."""


def main(
    lake: Annotated[str, typer.Argument(help="Root of the lake.")],
    repeats: Annotated[int, typer.Option(min=3, help="How often each action is measured.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="All seconds, for another program.")] = False,
) -> None:
    """Print the median and 95th percentile of every action, and the peak memory."""
    seconds = measure(lake, repeats)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    if as_json:
        sys.stdout.write(json.dumps({"seconds": seconds, "peak_mib": peak}) + "\n")
        return
    rows = {table["name"]: table["rows"] for table in Lake(lake).run().facts["tables"]}["predictions"]
    table = Table("seconds", "median", "95th percentile", "n", title=f"{rows:,} samples, peak {peak:,.0f} MiB")
    for name, values in seconds.items():
        table.add_row(name, *(f"{np.quantile(values, q):.3f}" for q in (0.5, 0.95)), str(len(values)))
    Console().print(table)


def measure(lake: str, repeats: int) -> dict[str, list[float]]:
    """Seconds of each repetition of each action, after one warm-up; the first page of a new server is measured once."""
    os.environ["LATENTLAKE_LAKE"] = lake
    disable_debug_mode()  # as the app does
    app = AppTest.from_file(FRAME, default_timeout=600)
    seconds = {"first page of a new server": [seconds_of(app.run)]}
    for name, (page, address) in ACTIONS.items():
        app.switch_page(f"../../{page}.py")
        _follow(app, address(0))
        seconds[name] = [seconds_of(partial(_follow, app, address(n))) for n in range(1, repeats + 1)]
    return seconds


def _filter(number: int) -> str:
    return f"loss.between.0,{1 + number / 1000:g}"


def _follow(app: AppTest, query: dict[str, str]) -> None:
    app.query_params.clear()
    app.query_params.update({"run": app.session_state["run_id"], **query})
    app.run()
    assert not app.exception and not app.error, (query, app.exception, app.error)


if __name__ == "__main__":
    typer.run(main)
