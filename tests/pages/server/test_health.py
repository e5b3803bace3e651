"""What operators ask: alive, ready, and figures, for those who may know them."""

import datetime as dt
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from starlette.applications import Starlette
from starlette.testclient import TestClient

from lake.storage.store import Lake
from pages.ui.core import data
from pages.ui.server import health
from pages.ui.server.routes import ROUTES
from tests.support.lakes.raw_tables import read_raw, write_raw
from tests.support.lakes.tiny_lake import RUN_ID
from tests.support.servers.apps import Open

TOKEN = "a token of the test, long enough"
Ask = Callable[..., TestClient]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """`ask(root)` is a client of the app's routes on that lake; nothing of it is cached yet."""

    def client(root: str | Path, **settings: str) -> TestClient:
        monkeypatch.setenv("LATENTLAKE_LAKE", str(root))
        for name, value in settings.items():
            monkeypatch.setenv(f"LATENTLAKE_{name}", value)
        monkeypatch.setattr(health, "SECONDS_TO_ANSWER", 60)  # on a machine that has more to do
        data.read_latest.clear()
        return TestClient(Starlette(routes=ROUTES), base_url="http://127.0.0.1:8501", raise_server_exceptions=False)

    return client


def figures(client: TestClient) -> dict[str, list[Sample]]:
    """Every sample of `/metrics` by its name."""
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def one(samples: list[Sample], **labels: str) -> float:
    """The value of the only sample with the labels."""
    (sample,) = (s for s in samples if labels.items() <= s.labels.items())
    return sample.value


# --- alive and ready


def test_the_process_is_alive_whatever_the_lake_is(ask: Ask, empty_lake: str) -> None:
    answer = ask(empty_lake).get("/healthz")
    assert (answer.status_code, answer.text, answer.headers["Cache-Control"]) == (200, "ok", "no-store")


def test_ready_names_the_latest_run_and_its_age(ask: Ask, tiny_lake: str) -> None:
    published = Lake(tiny_lake).run().facts["published_at"]
    answer = ask(tiny_lake).get("/readyz")
    said = answer.json()
    age = (dt.datetime.now(dt.UTC) - published).total_seconds() / 3600
    assert (said["run_id"], dt.datetime.fromisoformat(said["published_at"])) == (RUN_ID, published)
    assert said["age_hours"] == pytest.approx(age, abs=0.01)
    assert answer.headers["Cache-Control"] == "no-store"


def test_an_empty_lake_is_not_ready(ask: Ask, empty_lake: str) -> None:
    answer = ask(empty_lake).get("/readyz")
    assert (answer.status_code, answer.text) == (503, "The lake has no published run yet.")


@pytest.mark.parametrize("table", ["runs", "metrics"])
def test_a_damaged_lake_is_not_ready_and_its_path_stays_inside(ask: Ask, lake_copy: Path, table: str) -> None:
    for file in (lake_copy / table).rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:20])
    answer = ask(lake_copy).get("/readyz")
    assert (answer.status_code, answer.text) == (503, "The lake cannot be read.")


def test_a_lake_that_does_not_answer_is_not_ready_after_the_seconds_that_were_promised(
    ask: Ask, tiny_lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, reader = ask(tiny_lake), _StuckReader()
    monkeypatch.setattr(health, "SECONDS_TO_ANSWER", 0.1)
    monkeypatch.setattr(data, "read_latest", reader)
    try:
        answer = client.get("/readyz")
    finally:
        reader.released.set()
    assert (answer.status_code, answer.text) == (503, health.REASONS["slow"])


class _StuckReader:
    """A reader of the lake that does not end before it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def __call__(self, root: str) -> None:
        self.released.wait()

    def clear(self) -> None:
        """Has no cache."""


# --- figures


def test_metrics_hold_the_rows_versions_and_age_of_the_latest_run(ask: Ask, tiny_lake: str) -> None:
    found = figures(ask(tiny_lake))
    run = Lake(tiny_lake).run()
    assert one(found["latentlake_ready"]) == 1
    assert found["latentlake_run_info"][0].labels["run_id"] == RUN_ID
    for table in run.facts["tables"]:
        assert one(found["latentlake_table_rows"], table=table["name"]) == table["rows"]
        assert one(found["latentlake_table_version"], table=table["name"]) == table["version"]
    age = (dt.datetime.now(dt.UTC) - run.facts["published_at"]).total_seconds()
    assert one(found["latentlake_data_age_seconds"]) == pytest.approx(age, abs=20)
    assert one(found["process_resident_memory_bytes"]) > 1e6


def test_metrics_of_an_empty_lake_say_that_it_is_not_ready_and_nothing_else_of_it(ask: Ask, empty_lake: str) -> None:
    found = figures(ask(empty_lake))
    assert one(found["latentlake_ready"]) == 0
    assert "latentlake_data_age_seconds" not in found


def test_metrics_count_page_runs_and_reads_of_the_lake(ask: Ask, lake_copy: Path, open_page: Open) -> None:
    client = ask(lake_copy)

    def count(name: str, **labels: str) -> float:
        return sum(s.value for s in figures(client).get(name, []) if labels.items() <= s.labels.items())

    pages, reads = count("latentlake_page_seconds_count", page="runs"), count("latentlake_query_seconds_count")
    open_page(str(lake_copy), "runs")
    assert count("latentlake_page_seconds_count", page="runs") == pages + 1
    assert count("latentlake_query_seconds_count", question="samples") >= 1
    assert count("latentlake_query_seconds_count") > reads
    ends = {s.labels["le"] for s in figures(client)["latentlake_page_seconds_bucket"]}
    assert ends == {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "+Inf"}


def test_metrics_count_errors_by_kind(ask: Ask, lake_copy: Path, open_page: Open) -> None:
    before = figures(ask(lake_copy)).get("latentlake_errors_total", [])
    shutil.rmtree(lake_copy / "predictions")
    assert open_page(str(lake_copy)).error
    after = one(figures(ask(lake_copy))["latentlake_errors_total"], kind="LakeError")
    assert after == sum(s.value for s in before if s.labels["kind"] == "LakeError") + 1


def test_a_run_published_later_is_in_the_figures_when_the_seconds_are_over(ask: Ask, lake_copy: Path) -> None:
    ask(lake_copy).get("/readyz")
    later = read_raw(lake_copy / "runs").with_columns(
        pl.lit("20260102-000000-bbbbbb").alias("run_id"), pl.col("published_at") + pl.duration(hours=1)
    )
    write_raw(lake_copy / "runs", later, mode="append")
    assert ask(lake_copy).get("/readyz").json()["run_id"] == "20260102-000000-bbbbbb"


def test_with_a_token_figures_are_for_those_who_bring_it(ask: Ask, tiny_lake: str) -> None:
    client = ask(tiny_lake, METRICS_TOKEN=TOKEN)
    for wrong in ({}, {"Authorization": TOKEN}, {"Authorization": "Bearer"}, {"Authorization": f"Bearer {TOKEN}x"}):
        refused = client.get("/metrics", headers=wrong)
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert client.get("/readyz", headers=wrong).text == "ok"
    brought = {"Authorization": f"Bearer {TOKEN}"}
    assert "latentlake_run_info" in client.get("/metrics", headers=brought).text
    assert client.get("/readyz", headers=brought).json()["run_id"] == RUN_ID


def test_below_our_addresses_there_is_no_page(ask: Ask, tiny_lake: str) -> None:
    client = ask(tiny_lake)
    for path in ("healthz/x", "readyz/", "metrics/x/y", "pictures", "originals/x", "thumbnails/x", "pictures/x/y.png"):
        answer = client.get(f"/{path}")
        assert (answer.status_code, answer.text) == (404, "no such address")
