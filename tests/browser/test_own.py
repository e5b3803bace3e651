"""Images of one's own from files to every page in Chromium, by the command and a settings file alone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from lake.storage.store import Lake
from pages.ui.session.navigation import ENTRIES
from tests.support.data.drawn import draw_shape
from tests.support.data.own_data import QUICK, write_digits
from tests.support.paths import REPOSITORY
from tests.support.servers.browser import open_page, serve, unexpected

pytestmark = [pytest.mark.browser, pytest.mark.long]
DIGITS = """
model = "test_resnet"
scored_train = 300
phases = [{ resolution = 16, epochs = 2 }]
[dataset]
source = "digits.csv"
name = "Digits"
size = 16
metadata = ["writer half"]
"""
SHAPES = """
model = "test_convnext"
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
learning_rate = 0.01
phases = [{ resolution = 96, epochs = 4 }]
[dataset]
source = "shapes"
name = "Large shapes"
size = 96
[dataset.groups.kind]
angular = ["bar"]
round = ["disc", "ring"]
"""


def write_shapes(folder: Path) -> None:
    """Three classes of JPEG files of 96 x 120 px in a folder each, and a file that is no image."""
    rng = np.random.default_rng(0)
    for name in ("bar", "disc", "ring"):
        below = folder / "shapes" / name
        below.mkdir(parents=True)
        for number in range(100):
            image = Image.fromarray(draw_shape(name, int(rng.integers(60, 220)), rng))
            image.resize((96, 120), Image.Resampling.BICUBIC).save(below / f"{number}.jpg", quality=90)
    (folder / "shapes" / "disc" / "cut.jpg").write_bytes((folder / "shapes" / "disc" / "0.jpg").read_bytes()[:200])


@pytest.fixture(scope="module", params=[(write_digits, DIGITS), (write_shapes, SHAPES)], ids=["digits", "shapes"])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake that the command has filled from files."""
    write, settings = request.param
    folder = tmp_path_factory.mktemp("own")
    write(folder)
    (folder / "latentlake.toml").write_text(QUICK + settings)
    command = [sys.executable, "-m", "pipeline.cli", "refresh", "--config", "latentlake.toml"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    yield Lake(folder / "data" / "lake")


def test_every_page_shows_them(lake: Lake, browser: Browser) -> None:
    run = lake.run()
    assert run.facts["dataset_name"] in ("Digits", "Large shapes")
    with serve(str(lake.root)) as address:
        for entry in ENTRIES:
            problems: list[str] = []
            path = "" if entry is ENTRIES[0] else entry.name
            page = open_page(browser, f"{address}/{path}", problems=problems)
            expect(page.locator("h1")).to_contain_text(entry.title)
            assert page.get_by_test_id("stException").count() == 0, entry.name
            assert unexpected(problems) == [], entry.name
            page.context.close()


def test_the_panel_shows_the_file_in_its_own_aspect_above_the_square_that_the_model_saw(
    lake: Lake, browser: Browser
) -> None:
    run = lake.run()
    came, seen = {"Digits": ((8, 8), 16), "Large shapes": ((96, 120), 96)}[run.facts["dataset_name"]]
    sample = run.scan("predictions").select("sample_id").head(1).collect().item()
    with serve(str(lake.root)) as address:
        page = open_page(browser, f"{address}/similar?sample={sample}")
        whole = page.get_by_alt_text(f"Sample {sample} as it came")
        square = page.get_by_alt_text(f"Sample {sample}", exact=True)
        for image, size in ((whole, came), (square, (seen, seen))):
            assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == list(size)
        box = whole.bounding_box()
        assert box is not None and box["width"] / box["height"] == pytest.approx(came[0] / came[1], rel=0.02)
        expect(page.get_by_text(f"It came with {came[0]} x {came[1]} px.")).to_be_visible()
        page.context.close()


def test_the_overview_counts_the_file_that_could_not_be_used(lake: Lake, browser: Browser) -> None:
    assert lake.run().scan("quarantine").collect()["reason"].to_list() in (["not an image"], ["truncated"])
    with serve(str(lake.root)) as address:
        page = open_page(browser, address)
        expect(page.get_by_text("1 file could not be used")).to_be_visible()
        page.context.close()
