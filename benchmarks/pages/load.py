"""Measure how long readers wait under load: concurrent sessions that click through the pages of the given lake.

    .venv/bin/python -m benchmarks.pages.load data/lake                       # 30 readers for three minutes
    .venv/bin/python -m benchmarks.pages.load data/lake --readers 10 --seconds 60

Each reader is a separate websocket that speaks Streamlit's protocol like a browser: it opens a page, filters it, moves
on to the next one, pauses in between, and fetches the images of a page that it has not seen. A rerun is timed from the
click to the end of the script. The server runs on the same cores. Rendering in the browser is measured in `app.py`.
"""

import asyncio
import itertools
import re
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer
import websockets
from rich.console import Console
from rich.table import Table
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from lake.storage.store import Lake
from pages.ui.session.navigation import ENTRIES
from tests.support.servers.browser import serve

GOAL_SECONDS = 1.5
FILTERS = ["", "", "correct.is.false", "label.is.{label}", "label.is.{label};out_of_sample.is.true", "loss.between.1,9"]
IMAGE = re.compile(rb"thumbnails/[\w-]+/\d+\.png|pictures/[\w-]+\.png\?[\w.&=%;,~+-]*")
AT_FIRST = 24
"""Number of images in view: the browser fetches the others on scrolling."""
EVERY = 5.0

console = Console(width=120)


@dataclass
class Measured:
    """Results of all readers: seconds of each rerun by page, images, errors, and the server's memory in MiB."""

    reruns: dict[str, list[float]] = field(default_factory=lambda: {entry.name: [] for entry in ENTRIES})
    images: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    memory: list[float] = field(default_factory=list)


def main(
    lake: Annotated[Path, typer.Argument(help="Folder of the lake.")],
    readers: Annotated[int, typer.Option(min=1, help="Sessions at once.")] = 30,
    seconds: Annotated[float, typer.Option(help="For how long.")] = 180,
    think: Annotated[float, typer.Option(help="Mean seconds between a page and the next click.")] = 6,
    seed: Annotated[int, typer.Option(help="Of who clicks what.")] = 0,
) -> None:
    """Print the duration of reruns by page, and the errors; exit 1 if there are any or readers wait too long."""
    run = Lake(lake).run()
    rows = {table["name"]: table["rows"] for table in run.facts["tables"]}["predictions"]
    console.print(f"{rows:,} samples, {readers} readers for {seconds:.0f} s, {think:g} s to think")
    measured = Measured()
    with serve(str(lake)) as address:
        asyncio.run(_read_all(address, run.classes, measured, readers, seconds, think, seed))
    everything = np.concatenate([np.array(times) for times in measured.reruns.values()])
    _print(measured, everything, seconds)
    raise SystemExit(1 if measured.errors or np.quantile(everything, 0.95) > GOAL_SECONDS else 0)


async def _read_all(
    address: str, classes: list[str], measured: Measured, readers: int, seconds: float, think: float, seed: int
) -> None:
    end = time.monotonic() + seconds
    watched = asyncio.create_task(_watch_memory(address, measured))
    sessions = [Reader(address, classes, measured, think, np.random.default_rng([seed, i])) for i in range(readers)]
    await asyncio.gather(*(reader.read(end) for reader in sessions))
    watched.cancel()


async def _watch_memory(address: str, measured: Measured) -> None:
    port = int(address.rsplit(":", 1)[1])
    listening = [c.pid for c in psutil.net_connections("tcp") if c.laddr.port == port and c.status == "LISTEN"]
    process = psutil.Process(listening[0])
    while True:
        measured.memory.append(process.memory_info().rss / 2**20)
        await asyncio.sleep(EVERY)


class Reader:
    """One session of a reader."""

    def __init__(
        self, address: str, classes: list[str], measured: Measured, think: float, rng: np.random.Generator
    ) -> None:
        self._address, self._classes, self._measured, self._think, self._rng = address, classes, measured, think, rng
        self._seen: set[bytes] = set()
        self._hashes: dict[str, str] = {}

    async def read(self, end: float) -> None:
        """Click until the time is over."""
        await asyncio.sleep(float(self._rng.random()) * self._think)
        stream = f"{self._address.replace('http', 'ws')}/_stcore/stream"
        async with websockets.connect(stream, subprotocols=["streamlit"], max_size=None) as socket:  # type: ignore[list-item]
            for step in itertools.count():
                if time.monotonic() > end:
                    return
                entry = ENTRIES[int(self._rng.integers(len(ENTRIES)))] if step else ENTRIES[0]
                await self._click(socket, entry.name)
                await asyncio.sleep(float(self._rng.exponential(self._think)))

    async def _click(self, socket: websockets.ClientConnection, page: str) -> None:
        """Open a page with a filter, wait until its script has finished, and fetch the images it shows."""
        label = self._classes[int(self._rng.integers(len(self._classes)))]
        asked = FILTERS[int(self._rng.integers(len(FILTERS)))].format(label=label)
        message = BackMsg()
        message.rerun_script.query_string = f"f={asked}"
        message.rerun_script.page_script_hash = self._hashes.get(page, "")
        started = time.monotonic()
        await socket.send(message.SerializeToString())
        images = await self._until_finished(socket, page)
        self._measured.reruns[page].append(time.monotonic() - started)
        await asyncio.gather(*(asyncio.to_thread(self._fetch, path) for path in images))

    async def _until_finished(self, socket: websockets.ClientConnection, page: str) -> list[bytes]:
        images: list[bytes] = []
        while True:
            payload = await asyncio.wait_for(socket.recv(), 120)
            assert isinstance(payload, bytes)
            message = ForwardMsg.FromString(payload)
            images += [path for path in IMAGE.findall(payload) if path not in self._seen and path not in images]
            kind = message.WhichOneof("type")
            if kind == "navigation":
                self._hashes |= {
                    e.url_pathname or ENTRIES[0].name: e.page_script_hash for e in message.navigation.app_pages
                }
            elif kind == "delta" and message.delta.new_element.WhichOneof("type") in ("exception", "alert"):
                self._note(page, message)
            elif kind == "script_finished":
                if message.script_finished != ForwardMsg.FINISHED_SUCCESSFULLY:
                    self._measured.errors[
                        f"{page}: {ForwardMsg.ScriptFinishedStatus.Name(message.script_finished)}"
                    ] += 1
                self._seen.update(images[:AT_FIRST])
                return images[:AT_FIRST]

    def _note(self, page: str, message: ForwardMsg) -> None:
        """Record an exception or an error on the page; hints are ignored."""
        element = message.delta.new_element
        if element.WhichOneof("type") == "exception":
            self._measured.errors[f"{page}: {element.exception.message[:80]}"] += 1
        elif element.alert.format == element.alert.ERROR:
            self._measured.errors[f"{page}: {element.alert.body[:80]}"] += 1

    def _fetch(self, path: bytes) -> None:
        started = time.monotonic()
        try:
            with urllib.request.urlopen(f"{self._address}/{path.decode()}", timeout=60) as answer:
                answer.read()
        except OSError as error:
            self._measured.errors[f"{path.decode()[:60]}: {error}"] += 1
        self._measured.images.append(time.monotonic() - started)


def _print(measured: Measured, everything: np.ndarray, seconds: float) -> None:
    table = Table("page", "reruns", "median", "p95", "longest", box=None, header_style="bold")
    rows: list[tuple[str, list[float] | np.ndarray]] = [*measured.reruns.items()]
    rows += [("every page", everything), ("an image", measured.images)]
    for name, times in rows:
        if len(times):
            low, high, most = np.quantile(times, [0.5, 0.95, 1])
            table.add_row(name, f"{len(times):,}", f"{low:.2f} s", f"{high:.2f} s", f"{most:.2f} s")
    console.print(table)
    console.print(f"{len(everything) / seconds:.1f} reruns and {len(measured.images) / seconds:.1f} images a second")
    third = max(1, len(measured.memory) // 3)
    parts = [
        f"{np.mean(part):,.0f}"
        for part in (measured.memory[:third], measured.memory[third:-third], measured.memory[-third:])
        if part
    ]
    console.print(f"server memory by thirds of the time: {', '.join(parts)} MiB; peak {max(measured.memory):,.0f} MiB")
    console.print(
        f"p95 {np.quantile(everything, 0.95):.2f} s, goal {GOAL_SECONDS} s; {sum(measured.errors.values())} errors"
    )
    for error, n in measured.errors.most_common():
        console.print(f"  {n} x {error}")


if __name__ == "__main__":
    typer.run(main)
