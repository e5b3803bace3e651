"""Test whether WebGL is fluent without a GPU: two WebGL scatter plots compared with our population map.

    .venv/bin/python -m benchmarks.pages.webgl                # about six minutes; needs npm and chromium
    .venv/bin/python -m benchmarks.pages.webgl --repeats 1

A frame lasts from one step of the wheel or of a drag until the next one can be drawn, including the wait for WebGL;
16.7 ms is the refresh interval of the screen. `regl` is regl-scatterplot, `plotly` the scattergl trace of Streamlit's
own chart. `ours` is the chart of the page, a picture below 1,500 dots, from a bare server that draws as the app does;
`app.py` measures the page with Streamlit. Where the others pan and draw a lasso of 30 vertices, ours draws a box; and
only ours must be requested again after a zoom until it is sharp (`sharp s`). `MB sent` is everything sent, including
the library. The flags are those of the browser tests: with `--use-angle=swiftshader` the whole page is drawn with
WebGL, which slows ours and not the others.
"""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import polars as pl
import psutil
import typer
from rich.console import Console
from rich.table import Table

from lake.query.filters import Filters
from pages.charts import charts, projection_layers, projection_state, scales
from tests.support.servers.browser import chromium

SOURCE = Path(__file__).parent / "webgl_page"
CACHE = Path(os.environ.get("LATENTLAKE_CACHE_DIR", Path.home() / ".cache" / "latentlake")) / "webgl"
COUNTS = [60_000, 1_000_000]
WAYS = ("regl", "plotly", "ours")
LONGEST = 60
"""Seconds after which a map is not opened again."""
CLASSES = [f"class {number}" for number in range(10)]
SHOWN = [
    "way",
    "points",
    "drawn s",
    "frame median ms",
    "frame p95 ms",
    "lasso s",
    "MB sent",
    "sharp s",
    "RAM MB",
    "n",
]
RENDERER = """() => {
  const gl = document.createElement("canvas").getContext("webgl");
  return gl && gl.getParameter(gl.getExtension("WEBGL_debug_renderer_info").UNMASKED_RENDERER_WEBGL);
}"""

console = Console()


def main(repeats: Annotated[int, typer.Option(min=1, help="How often each map is opened.")] = 3) -> None:
    """Print the waiting times for each map: medians over the repeats, with the frames of all repeats pooled."""
    _bundle()
    with chromium() as browser:
        renderer = browser.new_page().evaluate(RENDERER)
        console.print(f"Chromium {browser.version}, WebGL by {renderer}, load {os.getloadavg()[0]:.2f}")
    assert renderer, "this Chromium has no WebGL"
    table = Table(*SHOWN)
    with _serve() as address:
        for count in COUNTS:
            _warm(count)
            for way in WAYS:
                table.add_row(way, f"{count:,}", *_cells(_visits(f"{address}/?way={way}&points={count}", repeats)))
    console.print(table)
    console.print(f"load {os.getloadavg()[0]:.2f}")


@lru_cache
def samples(count: int) -> pl.DataFrame:
    """Ten Gaussian blobs between -1 and 1, one per class, with the columns that the map needs."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, len(CLASSES), count)
    centers = rng.uniform(-0.7, 0.7, (len(CLASSES), 2))
    place = np.clip(centers[kind] + rng.normal(0, 0.09, (count, 2)), -1, 1).astype(np.float32)
    label = pl.Series(CLASSES)[kind]
    columns = {"sample_id": np.arange(count), "x": place[:, 0], "y": place[:, 1], "kind": kind.astype(np.uint8)}
    loss = rng.exponential(0.5, count)
    return pl.DataFrame(columns | {"label": label, "predicted": label, "loss": loss, "expected_loss": loss})


def _points(count: int, _: dict[str, str]) -> bytes:
    """All x and all y as 4 bytes each, and all classes as one byte each."""
    return b"".join(samples(count)[column].to_numpy().tobytes() for column in ("x", "y", "kind"))


def _map(count: int, query: dict[str, str]) -> bytes:
    """The chart of the page, with its picture served at a separate address."""
    layers = projection_layers.lay_out(
        samples(count),
        Filters(),
        _state(query),
        neighbors=pl.DataFrame(schema={"neighbor_id": pl.Int64}),
        folder="thumbnails/",
        picture_url=f"/picture/{count}",
    )
    chart = charts.population_map(layers, _scale(count), sizes=(0, 8), folder="thumbnails/", start=_state(query))
    return chart.to_json(indent=None).encode()


def _picture(count: int, query: dict[str, str]) -> bytes:
    return projection_layers.draw(samples(count), Filters(), _state(query), _scale(count))


def _selected(count: int, query: dict[str, str]) -> bytes:
    """Number of samples in the box."""
    state = _state(query)
    return json.dumps(len(samples(count).filter(state.within(state.box)))).encode()


def _warm(count: int) -> None:
    """Create and read the samples, as readers use a server that already has them."""
    _points(count, {})
    _map(count, {})
    _picture(count, {})


def _state(query: dict[str, str]) -> projection_state.MapState:
    return projection_state.from_query(query, ["label"])[0]


@lru_cache
def _scale(count: int) -> scales.ColorScale:
    return scales.color_scale(samples(count)["label"], CLASSES, {})


ANSWERS: dict[str, Callable[[int, dict[str, str]], bytes]] = {
    "points": _points,
    "map": _map,
    "picture": _picture,
    "selected": _selected,
}


class _Handler(SimpleHTTPRequestHandler):
    """Serves the bundle, and the data of the maps at `/what/count?state`."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        what, _, count = address.path.strip("/").partition("/")
        if what not in ANSWERS:
            super().do_GET()
            return
        body = ANSWERS[what](int(count), dict(parse_qsl(address.query)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "max-age=3600")  # like the app: a picture is requested once
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the table is the output."""


def _bundle() -> None:
    """Bundle the page and its packages into files for a browser, below the user's cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    for source in SOURCE.iterdir():
        shutil.copy(source, CACHE)
    quiet = ["--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(["npm", "install", *quiet], cwd=CACHE, check=True)
    options = ["--bundle", "--splitting", "--format=esm", "--minify", "--outdir=dist", "--log-level=warning"]
    shutil.rmtree(CACHE / "dist", ignore_errors=True)
    subprocess.run(["node_modules/.bin/esbuild", "page.js", *options], cwd=CACHE, check=True)
    shutil.copy(SOURCE / "index.html", CACHE / "dist")


@contextmanager
def _serve() -> Iterator[str]:
    """Serve the maps on loopback; yields the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(CACHE / "dist"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _visits(url: str, repeats: int) -> list[dict[str, Any]]:
    """Measurements of each reader; only the first one if that took too long."""
    started = time.monotonic()
    times: list[dict[str, Any]] = []
    while len(times) < repeats and time.monotonic() - started < LONGEST:
        times.append(_visit(url))
    return times


def _visit(url: str) -> dict[str, Any]:
    """Measurements of one reader in a fresh browser."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        page.goto(url)
        measured: dict[str, Any] = page.evaluate("() => result")
        assert measured["selected"] > 0, measured
        return measured | {"memory": _memory()}


def _memory() -> float:
    """MB of all browser processes, with shared memory counted once."""
    started = psutil.Process().children(recursive=True)
    return sum(process.memory_full_info().pss for process in started if "chrom" in process.name()) / 1e6


def _cells(times: list[dict[str, Any]]) -> list[str]:
    frames = np.concatenate([one["frames"] for one in times])
    of = {name: np.median([one[name] for one in times]) for name in ("drawn", "lasso", "sent", "memory")}
    sharp = [one["sharp"] for one in times if one["sharp"] is not None]
    return [
        f"{of['drawn']:.2f}",
        f"{np.median(frames):.1f}",
        f"{np.quantile(frames, 0.95):.1f}",
        f"{of['lasso']:.2f}",
        f"{of['sent']:.2f}",
        f"{np.median(sharp):.2f}" if sharp else "-",
        f"{of['memory']:.0f}",
        str(len(times)),
    ]


if __name__ == "__main__":
    typer.run(main)
