"""More than ten thousand hostile addresses, the same ones each time: routes, filters, map and whole pages.

Nothing may answer with a traceback, a file that is not in the lake, or more than a sentence.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from lake.errors import FilterError
from lake.query.filters import Filters
from lake.query.joined_samples import scan_samples
from lake.storage.store import Lake
from pages.charts import projection_state
from pages.charts.sample_ids import read_sample_id, read_sample_ids
from pages.ui.map import projection_offers
from pages.ui.server.guard import Guard
from pages.ui.server.routes import ROUTES
from tests.support.lakes.bare_run import build_bare_lake
from tests.support.lakes.tiny_lake import RUN_ID
from tests.support.paths import REPOSITORY
from tests.support.servers.apps import FRAME, NAMES, shown

PARSED, ROUTED, PAGES, BARE_PAGES = 10_000, 2_500, 100, 40
SECRET = "what lies beside the lake"
SOURCES = [*(REPOSITORY / "pages").rglob("*.py")]
BOUND = sorted({key for file in SOURCES for key in re.findall(r'key="([\w-]+)"[^)]*bind="query-', file.read_text())})
COLUMNS = ["label", "loss", "sample_id", "correct", "split", "source_name", "cluster_kmeans", "superclass", "reason"]
OPERATORS = ["is", "not", "between", "null", "present", "where", "IS", ""]
VALUES = ["cat", "true", "0", "-1", "1e3", "null", "test", "0,1", "1,0", "cat,dog", "layer4", "umap", "loss"]
NUMBERS = ["9223372036854775807", "9223372036854775808", "-9223372036854775809", "9" * 400, "1e400", "-0", "nan", "inf"]
NUMBERS += [
    "-inf",
    "0x10",
    "1_000",
    "１２",
    "٣",
    "1e-400",
    "3.5",
    "+7",
    " 7 ",
    "--7",
    "1,2,3,4",
    "2,1,0,0",
    "nan,1,2,3",
]
PATHS = ["../", "..\\", "%2e%2e%2f", "%252e%252e/", "....//", "/etc/passwd", "file:///etc/passwd", "../secret.txt"]
PATHS += [
    "..%c0%af",
    "C:\\",
    "~/",
    "//evil",
    "%00.png",
    ".png",
    "secret.txt",
    "runs/_delta_log/00000000000000000000.json",
]
TEXTS = ["\x00", "\x1b[31m", "\r\nSet-Cookie: a=b", "\u202e", "\ud800", "\uffff", "😀", "é" * 300, "a" * 9000, "İ", "ß"]
TEXTS += ["<script>alert(1)</script>", "![x](//evil)", "$x$", "' OR 1=1 --", "__import__('os')", "{}", "[]", "[1,2]"]
TEXTS += [
    "{'a': 1}",
    "%s%n",
    "${jndi:x}",
    "{{7*7}}",
    "null",
    "undefined",
    "NaN",
    ";;;",
    "~~~",
    ".,;:",
    "==",
    "(((((((((((",
]
LINES = [
    "label == 'cat'",
    "loss > 2",
    "loss / 0",
    "abs(loss)",
    "not correct",
    "label in ('cat',)",
    "-" * 500,
    "(" * 500,
]
LINES += ["loss ** 9999", "label + 1 > 2", "1 < loss < 2", "'a' == 'a'", "loss > 9e999", "null", "label == null", "a.b"]
LINES += [
    "lambda: 0",
    "[x for x in loss]",
    "loss if loss else 0",
    "f'{loss}'",
    "label > 'cat' and loss",
    "label > 'cat' and not loss > 1",
    "sample_id * 9**99",
]


def hostile(rng: random.Random) -> str:
    """A text that nobody means well with: up to three pieces, glued or cut."""
    pools = [NUMBERS, PATHS, TEXTS, LINES, VALUES, COLUMNS, [RUN_ID, "tiny-240-0", "", ""]]
    text = rng.choice(["", ",", ".", "/", ";"]).join(
        rng.choice(rng.choice(pools)) for _ in range(rng.choice([1, 1, 2, 3]))
    )
    return text[: rng.randrange(len(text) + 1)] if rng.random() < 0.1 else text


def filter_text(rng: random.Random) -> str:
    """A text of filters, in parts as they should be."""

    def clause() -> str:
        if rng.random() < 0.4:
            return f".where.{quote(rng.choice([*LINES, hostile(rng)]), errors='replace')}"
        column, operator = rng.choice([*COLUMNS, hostile(rng)]), rng.choice(OPERATORS)
        values = ",".join(rng.choice([*VALUES, *NUMBERS, hostile(rng)]) for _ in range(rng.choice([0, 1, 1, 2, 300])))
        return rng.choice(["", "", "~"]) + f"{column}.{operator}.{values}"

    return hostile(rng) if rng.random() < 0.2 else ";".join(clause() for _ in range(rng.choice([1, 1, 2, 30])))


def map_query(rng: random.Random) -> dict[str, str]:
    """Parameters of the map, most of them as they should be."""
    extents = ["-1,1,-1,1", "-1e308,1e308,-1e308,1e308", "0,1e-320,0,1e-320", "14.99999,15,-7,-6.99999"]
    good = {"color": COLUMNS[:5], "size": ["loss", "contrast"], "layout": ["umap", "pca"], "show": ["dots", "images"]}
    good |= {
        "view": extents,
        "box": extents,
        "lasso": ["0,0,1,1,2,0", "0,0,1,1"],
        "sample": ["0", "17", "999999"],
        "only": ["cat", "cat,dog", "a%2Cb,%ff"],
        "colored": ["cat", "ship,dog", "nothing,%ff"],
    }
    asked = {
        name: rng.choice(good[name]) if rng.random() < 0.8 else hostile(rng) for name in projection_state.PARAMETERS
    }
    return {name: text for name, text in asked.items() if rng.random() < 0.4}


def encode(text: str) -> str:
    """Percent-encoded with whatever bytes it takes."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def route(rng: random.Random) -> str:
    """An address of one of our routes, with hostile parts."""

    def part(good: str) -> str:
        return good if rng.random() < 0.6 else encode(hostile(rng))

    query = map_query(rng) | ({"f": filter_text(rng)} if rng.random() < 0.5 else {})
    sent = urlencode({name: text.encode("utf-8", "surrogatepass") for name, text in query.items()})
    return rng.choice(
        [
            f"/thumbnails/{part('tiny-240-0')}/{part('3')}.png",
            f"/thumbnails/{part('tiny-240-0')}/{part('3')}",
            f"/originals/{part('tiny-240-0')}/{part('8')}",
            f"/pictures/{part(RUN_ID)}.png?{sent[:8000]}",
            f"/pictures/{part(RUN_ID)}.png?{sent[:8000]}",
            f"/{part('readyz')}?{part('x')}",
            f"/metrics/{part('x')}",
        ]
    )


@pytest.fixture
def lake_with_neighbours(lake_copy: Path) -> Iterator[Path]:
    """A lake with secrets beside it and in it, that no route may hand out."""
    for place in (lake_copy.parent / "secret.txt", lake_copy / "secret.txt", lake_copy / "images" / "secret.png"):
        place.write_text(SECRET)
    yield lake_copy
    for place in (lake_copy.parent / "secret.txt", lake_copy / "secret.txt", lake_copy / "images" / "secret.png"):
        assert place.read_text() == SECRET


@pytest.mark.long
def test_no_address_of_a_route_brings_an_error_or_a_file_that_is_not_in_the_lake(
    lake_with_neighbours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTLAKE_LAKE", str(lake_with_neighbours))
    rng = random.Random(1)
    app = Starlette(routes=ROUTES, middleware=[Middleware(Guard)])
    answered: dict[int, int] = {}
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        for _ in range(ROUTED):
            path = route(rng)
            answer = client.get(path)
            answered[answer.status_code] = answered.get(answer.status_code, 0) + 1
            assert answer.status_code in (200, 404), path
            for leak in (SECRET, "Traceback", str(lake_with_neighbours), "root:"):
                assert leak.encode() not in answer.content, path
    assert answered[200] > 200, "some must get as far as the lake"


def test_filters_of_any_text_are_refused_in_words_or_hold_on_every_sample(tiny_lake: str) -> None:
    samples = scan_samples(Lake(tiny_lake).run()).collect()
    rng, kept = random.Random(2), 0
    for _ in range(PARSED // 2):
        text = filter_text(rng)
        try:
            filters = Filters.from_text(text).checked(samples.schema)
        except FilterError as error:
            assert 0 < len(str(error)) < 500, text
            continue
        kept += 1
        assert Filters.from_text(filters.to_text()) == filters, text
        assert len(filters.apply(samples.lazy()).collect()) <= len(samples), text
    assert kept > 500


def test_any_parameters_of_the_map_give_a_view_that_reads_itself_back(tiny_lake: str) -> None:
    colors = projection_offers.color_columns(Lake(tiny_lake).run())
    rng, kept = random.Random(3), 0
    for _ in range(PARSED // 4):
        query = map_query(rng)
        state, refused = projection_state.from_query(query, colors)
        assert set(refused) <= set(query)
        again, refused_again = projection_state.from_query(state.to_query(), colors)
        assert not refused_again, query
        assert again.to_query() == state.to_query(), query
        kept += not refused
    assert kept > 200


def test_any_text_for_a_sample_is_a_number_that_a_lake_can_hold_or_none() -> None:
    rng = random.Random(4)
    for _ in range(PARSED // 4):
        text = hostile(rng)
        found = read_sample_id(text)
        assert found is None or (0 <= found < 2**63 and str(found) == text.lstrip("0").rjust(1, "0")), text
        assert all(0 <= number < 2**63 for number in read_sample_ids(text)), text


def follow(link: dict[str, str], name: str) -> AppTest:
    """The page of that name as a link opens it, without another page before."""
    app = AppTest.from_file(FRAME, default_timeout=60)
    for parameter, text in link.items():
        app.query_params[parameter] = text
    return app.switch_page(f"../../{name}.py").run()


def open_under_any_parameters(pages: int) -> int:
    """Open so many pages of the lake that is served; returns how many got as far as their title."""
    rng, drawn, known = random.Random(5), 0, ["run", "f", *projection_state.PARAMETERS, *BOUND]
    for i in range(pages):
        asked = {name: hostile(rng) for name in known if rng.random() < 0.5}
        asked["f"] = rng.choice([filter_text(rng), "label.is.cat", ""])
        asked["run"] = rng.choice([RUN_ID, RUN_ID, RUN_ID, hostile(rng)])
        sent = {name: text.encode(errors="replace").decode() for name, text in asked.items()}  # as a browser would
        app = follow(sent, NAMES[i % len(NAMES)])
        assert not app.exception, asked
        assert len(app.title) <= 1 and len(app.error) <= 1, asked
        said = shown(app)
        assert "Traceback" not in said and "failed with an unexpected error" not in said, asked
        drawn += len(app.title)
    return drawn


@pytest.mark.long
def test_no_page_fails_under_any_parameters(tiny_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTLAKE_LAKE", tiny_lake)
    assert len(BOUND) > 15
    assert open_under_any_parameters(PAGES) > PAGES // 2, "most must get as far as their page"


@pytest.mark.long
def test_no_page_of_external_predictions_fails_under_any_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTLAKE_LAKE", str(build_bare_lake(str(tmp_path), images=False, embeddings=False).root))
    assert open_under_any_parameters(BARE_PAGES) > BARE_PAGES // 2


def test_there_are_more_than_ten_thousand_cases() -> None:
    assert PARSED + ROUTED + PAGES > 10_000
