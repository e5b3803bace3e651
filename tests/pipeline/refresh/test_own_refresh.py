"""Handwritten digits as PNG files beside a CSV become a published run, from files to pages without code."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from lake.query import joined_samples, queries
from lake.query.filters import Filters
from lake.storage.store import Lake, Run
from pages.ui.session.navigation import ENTRIES
from pipeline.engine.progress import Progress
from pipeline.refresh.refresh import refresh
from pipeline.refresh.unchanged import find_answer
from pipeline.settings import Settings
from tests.support.data.drawn import tiny_settings
from tests.support.data.own_data import DIGITS, write_digits
from tests.support.servers.apps import NAMES, Open, answer, failures

pytestmark = pytest.mark.long

QUIET = Progress(quiet=True)


def settings_of(folder: Path) -> Settings:
    own = {"source": folder / "digits.csv", "name": "Digits", "size": 16, "metadata": ["writer half"]}
    trained = {"phases": [{"resolution": 16, "epochs": 8}], "batch_size": 160}
    return tiny_settings(folder, dataset=own, scored_train=300, samples=None, **trained)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder)
    assert refresh(settings_of(folder), QUIET).published
    yield folder


@pytest.fixture
def run(folder: Path) -> Run:
    return Lake(folder / "lake").run()


def test_every_file_is_a_sample_or_in_quarantine(run: Run) -> None:
    samples = run.scan("samples").collect()
    assert (run.facts["dataset_name"], run.classes) == ("Digits", [str(i) for i in range(10)])
    assert (len(samples), samples["source_name"][5]) == (DIGITS, "png/0005.png")
    assert run.scan("quarantine").select("source_name", "reason").collect().rows() == [("png/bad.png", "not an image")]
    assert run.metric("data", "usable") == DIGITS
    shares = samples["split"].value_counts(normalize=True).sort("split")["proportion"].to_list()
    assert shares == pytest.approx([0.2, 0.7, 0.1], abs=0.01)
    assert run.verify()


def test_the_file_as_it_was_is_kept_beside_the_square_that_is_twice_as_large(run: Run) -> None:
    images = run.scan("images").sort("sample_id").collect()
    assert images.select("width", "original_width", "original_height").unique().rows() == [(16, 8, 8)]
    with Image.open(io.BytesIO(images["original"][5])) as picture:
        assert np.array_equal(np.asarray(picture)[..., 0], (load_digits().images[5] * 255 / 16).astype(np.uint8))


def test_the_model_learns_them(run: Run) -> None:
    test = joined_samples.scan_samples(run).filter(pl.col("split") == "test")
    n, hits = queries.accuracy(test).select("n", "hits").collect().row(0)
    assert n == 359 and hits / n > 0.8


def test_who_wrote_them_is_a_column_to_filter_by(run: Run) -> None:
    samples = joined_samples.scan_samples(run)
    first = Filters.of(writer_half="first").checked(samples.collect_schema()).apply(samples).collect()
    assert len(first) and str(first["source_name"].max()) < f"png/{DIGITS // 2:04}.png"


def test_with_nothing_new_the_command_answers_and_a_refresh_publishes_nothing(folder: Path, run: Run) -> None:
    settings = settings_of(folder)
    assert find_answer(settings, Lake(folder / "lake")) == run.run_id
    assert not refresh(settings, QUIET).published
    assert settings.dataset is not None
    larger = settings.model_copy(update={"dataset": settings.dataset.model_copy(update={"display_side": 64})})
    assert not refresh(larger, QUIET).published
    assert not refresh(settings, QUIET).published  # which its last answer is about again
    (folder / "png" / "0000.png").touch()
    assert find_answer(settings, Lake(folder / "lake")) is None


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_every_page_opens_on_them(entry: Any, folder: Path, open_page: Open) -> None:
    app = open_page(str(folder / "lake"), entry.name)
    assert not failures(app)
    assert answer(app).endswith(".")
    if entry.name == NAMES[0]:
        assert "1 file could not be used" in [part.label for part in app.expander]
