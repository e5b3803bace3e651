"""The table of samples in Chromium: dragging, clicking, saving, taking away."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Locator, Page, expect

from lake.query.filters import Filters
from lake.query.joined_samples import scan_samples
from lake.storage.store import Lake
from tests.support.servers.apps import HELD_OUT
from tests.support.servers.browser import serve, unexpected, wait_until_drawn

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=\"document.title='taken'\">"


@pytest.fixture(scope="module")
def samples(tiny_lake: str) -> pl.DataFrame:
    return scan_samples(Lake(tiny_lake).run()).collect()


@pytest.fixture(scope="module")
def written(tiny_lake: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app on a lake that may be written to."""
    with serve(str(shutil.copytree(tiny_lake, tmp_path_factory.mktemp("written") / "lake"))) as address:
        yield address


def filters_of(page: Page) -> Filters:
    """The filters in the page's address."""
    text = page.evaluate("new URLSearchParams(location.search).get('f')")
    return Filters.from_text(text or "")


def drag(page: Page, chart: Locator, start: float, end: float) -> None:
    """Drag over the middle of a chart, between two shares of its width."""
    box = chart.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y, steps=6)
    page.mouse.up()


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1400, "light"),
        pytest.param(1024, "dark", marks=pytest.mark.long),
        pytest.param(390, "light", marks=pytest.mark.long),
    ],
)
def test_the_histograms_are_small_in_rows_and_no_wider_than_the_page(
    width: int, scheme: str, tiny: str, opened: Any
) -> None:
    problems: list[str] = []
    columns = "loss,confidence,margin,contrast,sharpness,shade"
    page = opened(f"{tiny}/samples?columns={columns}&sort=-loss", width=width, scheme=scheme, problems=problems)
    charts = page.locator(".st-key-histograms").get_by_test_id("stVegaLiteChart")
    expect(charts).to_have_count(6)
    boxes = [chart.bounding_box() for chart in charts.all()]
    assert {round(box["height"]) for box in boxes} == {100}
    rows = {round(box["y"]) for box in boxes}
    assert len(rows) == {1400: 1, 1024: 2, 390: 3}[width]
    assert page.locator("html").evaluate("e => e.scrollWidth - innerWidth") <= 0
    assert unexpected(problems) == []


@pytest.mark.long
def test_a_range_dragged_over_a_histogram_is_a_filter(tiny: str, samples: pl.DataFrame, opened: Any) -> None:
    page = opened(f"{tiny}/samples")
    drag(page, page.locator(".st-key-histograms").get_by_test_id("stVegaLiteChart").first, 0.4, 0.8)
    expect(page.get_by_text(re.compile(r"^loss: [\d.]+ to [\d.]+$"))).to_be_visible()
    wait_until_drawn(page)
    (clause,) = filters_of(page).clauses
    low, high = map(float, clause.values)
    n = samples.filter(pl.col("loss").is_between(low, high)).height
    assert 0 < n < len(samples)
    expect(page.locator("h2").first).to_contain_text(f"{n} samples pass the filters")


@pytest.mark.long
def test_a_click_on_a_cell_filters_the_table_to_its_samples_and_back(
    tiny: str, samples: pl.DataFrame, opened: Any
) -> None:
    page = opened(f"{tiny}/samples?sort=-loss&pivot=label,predicted&columns=label", height=1600)
    page.get_by_label(re.compile("Predicted: dog; Label: cat")).last.click()
    n = samples.filter(HELD_OUT, label="cat", predicted="dog").height
    expect(page.locator("h2").first).to_contain_text(f"{n} samples pass the filters")
    assert [clause.describe() for clause in filters_of(page).clauses] == [
        "label: cat",
        "predicted: dog",
        "out of sample: true",
    ]
    page.get_by_role("button", name="Back to all cells").click()
    expect(page.locator("h2").first).to_contain_text(f"{len(samples)} samples pass the filters")


@pytest.mark.long
@pytest.mark.parametrize(("kind", "read"), [("CSV", pl.read_csv), ("Parquet", pl.read_parquet)])
def test_a_file_holds_exactly_the_rows_that_pass_in_the_order_on_screen(
    kind: str, read: Any, tiny: str, samples: pl.DataFrame, opened: Any, tmp_path: Path
) -> None:
    page = opened(f"{tiny}/samples?f=correct.is.false&sort=predicted,-loss&columns=label,predicted,loss")
    expected = samples.filter(~pl.col("correct")).sort(
        "predicted", "loss", "sample_id", descending=[False, True, False], nulls_last=True
    )
    shown = _download(page, kind, read, tmp_path)
    assert shown["sample_id"].to_list() == expected["sample_id"].to_list()
    assert shown.columns == ["sample_id", "label", "predicted", "loss"]
    assert shown["loss"].to_list() == pytest.approx(expected["loss"].to_list())
    page.get_by_text("All columns").click()
    wait_until_drawn(page)
    everything = _download(page, kind, read, tmp_path)
    assert everything.columns == samples.columns
    assert everything["sample_id"].to_list() == expected["sample_id"].to_list()


def _download(page: Page, kind: str, read: Any, folder: Path) -> pl.DataFrame:
    with page.expect_download() as started:
        page.get_by_role("button", name=re.compile(rf"{kind} \(\d+ rows\)")).click()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return read(path)


@pytest.mark.long
def test_a_view_saved_in_one_browser_opens_in_another_and_a_hostile_name_is_text(written: str, opened: Any) -> None:
    problems: list[str] = []
    query = "f=label.is.cat&sort=label,-margin&columns=label,margin&pivot=label,split"
    first = opened(f"{written}/samples?{query}", problems=problems)
    first.get_by_role("button", name="Views · 0").click()
    form = first.get_by_test_id("stPopoverBody")
    form.get_by_label("Name of the view").fill(HOSTILE)
    form.get_by_label("Your name").fill("Ada")
    form.get_by_role("button", name="Save the view").click()
    expect(first.get_by_role("button", name="Views · 1")).to_be_visible()
    second = opened(f"{written}/samples", problems=problems)
    second.get_by_role("button", name="Views · 1").click()
    link = second.get_by_test_id("stPopoverBody").get_by_test_id("stPageLink")
    expect(link).to_contain_text(HOSTILE)
    link.click()
    expect(second.get_by_text("label: cat")).to_be_visible()
    wait_until_drawn(second)
    answers = [page.locator("h2").first.inner_text() for page in (first, second)]
    assert answers[0] == answers[1]
    addresses = [page.evaluate("Object.fromEntries(new URLSearchParams(location.search))") for page in (first, second)]
    assert addresses[0] == addresses[1]
    assert second.locator('img[src="x"]').count() == 0
    assert [page.title() for page in (first, second)] == ["latentlake", "latentlake"]
    assert unexpected(problems) == []
