"""Nothing leaves the machine: what the browser asks for on every page, and whom the server connects to."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from pages.ui.session.navigation import ENTRIES
from tests.support.paths import REPOSITORY
from tests.support.servers.browser import knock, request, wait_until_drawn
from tests.support.servers.server import serve_from

pytestmark = pytest.mark.browser
RECORDER = """
import os, sys

def record(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        place = args[1] if event != "socket.getaddrinfo" else args[0]
        with open(os.environ["RECORDED"], "a") as file:
            print(event, place[0] if isinstance(place, tuple) else place, file=file)

sys.addaudithook(record)
"""
LOOPBACK = {"127.0.0.1", "::1", "localhost", "None", "b'127.0.0.1'", "b'localhost'"}


@dataclass
class Served:
    """An app beyond loopback, where Streamlit would look for its address; files with whom it connected to and said."""

    address: str
    recorded: Path
    said: Path = Path(os.devnull)
    asked: list[str] = field(default_factory=list)

    def connected(self) -> set[str]:
        return {line.partition(" ")[2] for line in self.recorded.read_text().splitlines()}


@pytest.fixture(scope="module")
def served(tiny_lake: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "sitecustomize.py").write_text(RECORDER)
    recorded = folder / "connected"
    recorded.touch()
    environment: dict[str, Any] = {"PYTHONPATH": f"{folder}:{REPOSITORY}", "RECORDED": str(recorded)}
    said = folder / "said"
    with serve_from(folder, f"--lake={tiny_lake}", "--host=0.0.0.0", said=said, **environment) as address:
        yield Served(address, recorded, said)


def follow(page: Page, asked: list[str]) -> None:
    """Collect every address that a page asks for, those of its websockets included."""
    page.context.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda websocket: asked.append(websocket.url))


def is_elsewhere(url: str, address: str) -> bool:
    place = urlsplit(url)
    return place.scheme not in ("data", "blob") and place.netloc != urlsplit(address).netloc


@pytest.mark.long
def test_every_page_asks_its_own_server_and_that_asks_nobody(served: Served, opened: Any) -> None:
    page = opened("about:blank", drawn=False)
    follow(page, served.asked)
    page.goto(served.address)
    for entry in ENTRIES:
        page.get_by_test_id("stSidebarNav").get_by_role("link", name=entry.title, exact=True).click()
        expect(page.locator("h1")).to_have_text(entry.title)
        wait_until_drawn(page)
    paths = [urlsplit(url).path for url in served.asked]
    assert sum(path.endswith("/_stcore/stream") for path in paths) == 1
    assert any(path.startswith("/thumbnails/") for path in paths)
    assert [url for url in served.asked if is_elsewhere(url, served.address)] == []
    assert served.connected() <= LOOPBACK


def test_a_websocket_of_another_site_is_refused_and_nobody_is_asked_who_it_is(served: Served) -> None:
    assert "403" in knock(served.address, "127.0.0.1", origin="http://example.org")
    assert served.connected() <= LOOPBACK


def test_beyond_loopback_without_a_login_it_warns_once(served: Served) -> None:
    assert request(f"{served.address}/healthz")[0] == 200
    assert served.said.read_text().count("Warning: everybody who reaches this address") == 1


def test_the_recorder_sees_who_is_connected_to(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(RECORDER)
    program = "import socket; s = socket.socket(); s.setblocking(False); s.connect_ex(('192.0.2.1', 9)); s.close()"
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "RECORDED": str(tmp_path / "connected")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert Served("", tmp_path / "connected").connected() == {"192.0.2.1"}
