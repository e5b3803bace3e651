"""The server reads the latest run before anybody asks, follows later ones, and survives a lake it cannot read."""

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest
import streamlit as st
from streamlit import logger

from lake.storage.store import Lake
from pages.text import separation
from pages.ui.core import data
from pages.ui.server import warm_up
from pages.ui.session import telemetry
from tests.support.lakes.tiny_lake import RUN_ID, build_tiny_lake


@pytest.fixture(autouse=True)
def cold(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is cached before a test nor after it, and the server looks often."""
    monkeypatch.setattr(warm_up, "SECONDS_BETWEEN_LOOKS", 0.05)
    st.cache_resource.clear()
    st.cache_data.clear()
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


def serve_for_a_while(root: str, until: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lifespan of a server on the lake until a condition holds, at most 30 s."""
    monkeypatch.setenv("LATENTLAKE_LAKE", root)

    async def live() -> None:
        async with warm_up.keep_warm(None):  # type: ignore[arg-type]
            with anyio.fail_after(30):
                while not until():
                    await anyio.sleep(0.05)

    with ThreadPoolExecutor(1) as another:  # the thread of the browser tests has a loop of its own
        another.submit(anyio.run, live).result()


def reads(question: str) -> float:
    """How often the lake was read for a question."""
    name = "latentlake_query_seconds_count"
    return telemetry.REGISTRY.get_sample_value(name, {"question": question}) or 0.0


def test_the_first_reader_finds_what_the_server_has_read(tiny_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = reads("misplaced")
    serve_for_a_while(tiny_lake, lambda: reads("misplaced") > before, monkeypatch)
    run = data.open_run(tiny_lake, RUN_ID)
    read = reads("samples"), reads("misplaced")
    data.samples(run).collect()
    data.misplaced(run, separation.first_group(run))
    assert (reads("samples"), reads("misplaced")) == read


def test_an_empty_lake_is_looked_at_until_it_has_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "lake"
    before, looked = reads("samples"), reads("ready")

    def published() -> bool:
        if reads("ready") > looked and not root.exists():
            shutil.copytree(build_tiny_lake(str(tmp_path / "other")).root, root)
        return reads("samples") > before

    serve_for_a_while(str(root), published, monkeypatch)


def test_a_lake_that_cannot_be_read_is_counted_and_the_server_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = build_tiny_lake(str(tmp_path / "lake"))
    for file in Path(lake.root, "metrics").rglob("*.parquet"):
        file.write_bytes(b"damaged")
    labels = {"kind": "LakeError"}
    before = telemetry.REGISTRY.get_sample_value("latentlake_errors_total", labels) or 0.0

    def twice() -> bool:
        return (telemetry.REGISTRY.get_sample_value("latentlake_errors_total", labels) or 0.0) >= before + 2

    serve_for_a_while(lake.root, twice, monkeypatch)
    assert Lake(lake.root).runs().height == 1


def test_an_error_that_nobody_foresaw_is_counted_and_its_traceback_is_in_the_log(
    tiny_lake: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(root: str) -> None:
        raise ZeroDivisionError(root)

    def counted() -> float:
        return telemetry.REGISTRY.get_sample_value("latentlake_errors_total", {"kind": "ZeroDivisionError"}) or 0.0

    before = counted()
    monkeypatch.setattr(data, "read_latest", fail)
    monkeypatch.setattr(logger.get_logger("latentlake"), "handlers", [caplog.handler])
    serve_for_a_while(tiny_lake, lambda: counted() > before, monkeypatch)
    assert re.search("Unforeseen error [0-9a-f]{8}\nTraceback .*ZeroDivisionError: ", caplog.text, re.DOTALL)


def test_ctrl_c_during_a_query_leaves_it_to_the_server_to_stop(tiny_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def interrupted(root: str) -> None:
        asked.append(root)
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "read_latest", interrupted)
    serve_for_a_while(tiny_lake, lambda: asked, monkeypatch)
    assert asked == [tiny_lake]
