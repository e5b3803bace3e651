"""Images over HTTP: who gets the whole picture of a sample, as what, and what is read of the lake for it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from lake.contracts.validation import validate
from lake.storage.store import Lake
from pages.text.formatting import NO_BREAK
from pages.ui.server.guard import Guard
from pages.ui.server.routes import FOREVER, ROUTES
from pages.ui.session import telemetry
from pages.ui.session.addresses import original
from tests.support.data.pictures import encode, noise
from tests.support.lakes.raw_tables import write_raw
from tests.support.lakes.tiny_data import ORIGINAL_OF, ORIGINAL_SIZE, PICTURE_SIZE
from tests.support.lakes.tiny_lake import build_tiny_lake
from tests.support.servers.apps import Open, shown

Ask = Callable[[str | Path], TestClient]
WHOLE = f"originals/tiny-240-0/{ORIGINAL_OF}"
SQUARE = f"thumbnails/tiny-240-0/{ORIGINAL_OF}.png"


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """`ask(lake)` is a client of our routes on that lake."""
    app = Starlette(routes=ROUTES, middleware=[Middleware(Guard)])

    def client_of(lake: str | Path) -> TestClient:
        monkeypatch.setenv("LATENTLAKE_LAKE", str(lake))
        return TestClient(app)

    yield client_of


def errors() -> float:
    """How many errors of the lake were counted."""
    return telemetry.REGISTRY.get_sample_value("latentlake_errors_total", {"kind": "LakeError"}) or 0.0


def images(lake: Lake) -> pl.DataFrame:
    return lake.run().scan("images").collect()


def test_the_original_is_what_the_lake_has_and_browsers_keep_it_for_ever(ask: Ask, tiny_lake: str) -> None:
    run = Lake(tiny_lake).run()
    stored = images(Lake(tiny_lake)).filter(sample_id=ORIGINAL_OF)["original"].item()
    found = ask(tiny_lake).get(original(run, ORIGINAL_OF))
    assert original(run, ORIGINAL_OF) == WHOLE and found.content == stored
    told = {name: found.headers[name] for name in ("content-type", "cache-control", "x-content-type-options")}
    assert told == {"content-type": "image/png", "cache-control": FOREVER, "x-content-type-options": "nosniff"}


def test_a_jpeg_is_said_to_be_one(ask: Ask, tmp_path: Path) -> None:
    lake, jpeg = build_tiny_lake(str(tmp_path / "lake")), encode(noise(90, 60), "JPEG")
    lake.stage("images", images(lake).with_columns(original=pl.lit(jpeg)))
    found = ask(lake.root).get("/originals/tiny-240-0/0")
    assert (found.headers["content-type"], found.content) == ("image/jpeg", jpeg)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("tiny-240-0/0", "no original of such a sample"),
        ("tiny-240-0/999999", "no original of such a sample"),
        (f"tiny-240-0/{10**400}", "no original of such a sample"),
        ("no-such-dataset/8", "no original of such a sample"),
        ("TINY/8", "no such dataset"),
        ("tiny-240-0/8.png", "no such address"),
        ("tiny-240-0/-1", "no such address"),
        ("..%2f..%2fetc/8", "no such address"),
        ("", "no such address"),
    ],
)
def test_where_there_is_none_a_sentence_says_so(path: str, sentence: str, ask: Ask, tiny_lake: str) -> None:
    found = ask(tiny_lake).get(f"/originals/{path}")
    assert (found.status_code, found.text) == (404, sentence)


def test_a_lake_from_before_originals_has_none(ask: Ask, lake_copy: Path) -> None:
    table = lake_copy / "images"
    older = images(Lake(lake_copy)).drop("original", "original_width", "original_height")
    shutil.rmtree(table)
    write_raw(table, older, partition_by=["dataset_id"])
    client = ask(lake_copy)
    assert (client.get(WHOLE).status_code, client.get(SQUARE).status_code) == (404, 200)


def test_neither_thumbnails_nor_checks_read_originals(ask: Ask, lake_copy: Path) -> None:
    """What lies where originals are stored is overwritten: whoever reads them finds no parquet."""
    for file in (lake_copy / "images").rglob("*.parquet"):
        group = pq.ParquetFile(file).metadata.row_group(0)
        column = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == "original")
        start = column.dictionary_page_offset or column.data_page_offset
        content = bytearray(file.read_bytes())
        content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
        file.write_bytes(content)
    client = ask(lake_copy)
    unread = errors()
    assert (client.get(WHOLE).status_code, client.get(SQUARE).status_code) == (503, 200)
    assert errors() == unread + 1, "operators are told of what could not be read"
    run = Lake(lake_copy).run()
    tables = [table["name"] for table in run.facts["tables"]]
    assert validate({name: run.scan(name) for name in tables})[1] > 0


def test_the_panel_shows_what_came_and_the_square_that_was_cut_from_it(open_page: Open, tiny_lake: str) -> None:
    def draw(sample_id: int) -> tuple[str, str]:
        app = open_page(tiny_lake, "similar", sample=str(sample_id))
        return "".join(part.proto.body for part in app.get("html")), shown(app).replace(NO_BREAK, " ")

    width, height = ORIGINAL_SIZE
    drawn, said = draw(ORIGINAL_OF)
    assert f'src="{WHOLE}"' in drawn and f"aspect-ratio:{width}/{height}" in drawn and f'src="{SQUARE}"' in drawn
    assert "It came with 4,032 x 2,688 px. The model saw the framed square, scaled to 32 x 32 px." in said
    assert "left:16.67%;right:16.67%;top:0.00%;bottom:0.00%" in drawn
    drawn, said = draw(ORIGINAL_OF + 1)
    assert "/originals/" not in drawn and "It came with" not in said
    assert PICTURE_SIZE[0] * height == PICTURE_SIZE[1] * width, "or the frame would lie elsewhere"
