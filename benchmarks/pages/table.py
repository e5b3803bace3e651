"""Measure the server time of a rerun of the table of samples, without a browser, on the given lake.

    .venv/bin/python -m tests.support.lakes.synthetic /tmp/tiled       # 60,000 drawn samples, if there is no lake
    .venv/bin/python -m benchmarks.pages.table /tmp/tiled           # about a minute

Every action leads to a different state than the one before, so no cache holds its result, except those per run.
"""

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from streamlit.testing.v1 import AppTest

from benchmarks.support.clock import seconds_of
from lake.query.queries import PROPERTIES
from lake.storage.store import Lake
from tests.support.servers.apps import FRAME

GOAL = 0.5
console = Console()


def main(
    lake: Annotated[Path, typer.Argument(help="Folder of the lake.")],
    repeats: Annotated[int, typer.Option(min=3, help="How often each action is measured.")] = 20,
) -> None:
    """Print the median and 95th percentile of every action on the table, with its goal."""
    rows = {table["name"]: table["rows"] for table in Lake(lake).run().facts["tables"]}["predictions"]
    table = Table("seconds", "median", "95th percentile", "goal", title=f"{rows:,} samples, {repeats} repeats")
    for name, act in actions(open_table(str(lake))).items():
        act()
        seconds = [seconds_of(act) for _ in range(repeats)]
        table.add_row(name, *(f"{np.quantile(seconds, q):.3f}" for q in (0.5, 0.95)), f"{GOAL}")
    console.print(table)


def open_table(lake: str) -> AppTest:
    """The page after its first run."""
    os.environ["LATENTLAKE_LAKE"] = lake
    app = AppTest.from_file(FRAME, default_timeout=120).run()
    return app.switch_page("../../samples.py").run()


def actions(app: AppTest) -> dict[str, Callable[[], object]]:
    """Actions of a reader, ordered so that each one builds on the state left by the one before."""
    bounds = (f"loss.between.0,{1 + n / 1000:g}" for n in count())
    return {
        "sort turned": lambda: app.button(key="sort-turn-loss").click().run(),
        "another filter": lambda: _follow(app, {"f": next(bounds), "sort": "-loss"}),
        "sorted by three columns": lambda: _follow(app, {"f": next(bounds), "sort": "label,-correct,-loss"}),
        "losses by two numbers": lambda: _follow(app, {"f": next(bounds), "sort": "loss", "pivot": "shade,contrast"}),
        "histograms of all properties": lambda: _follow(
            app, {"f": next(bounds), "sort": "-loss", "columns": ",".join(["loss", "margin", *PROPERTIES])}
        ),
    }


def _follow(app: AppTest, query: dict[str, str]) -> None:
    run = app.query_params["run"]
    app.query_params.clear()
    app.query_params.update({"run": run, **query})
    app.run()


if __name__ == "__main__":
    typer.run(main)
