"""Images without labels, or of one class, are published without a model: map, groups, neighbours and copies."""

import datetime as dt
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lake.contracts.samples import NO_CLASS, OF_CLASSES
from lake.contracts.stages import tables_that_need
from lake.errors import UserError
from lake.query.joined_samples import scan_samples
from lake.storage.attempts import find_failed_attempt, record_attempt
from lake.storage.store import Lake, Run
from pages.report.document import render_report
from pages.text.findings import NOTHING_MEASURED
from pages.text.missing import UNCLASSIFIED
from pipeline.checks.run import MAPS, check_again
from pipeline.commands.export import export
from pipeline.commands.refresh import RefreshOptions
from pipeline.commands.refresh import run as run_refresh
from pipeline.commands.status import look, print_status
from pipeline.engine.progress import Progress
from pipeline.refresh.refresh import refresh
from pipeline.settings import load_settings
from pipeline.stages.without_model import to_thumbnails
from tests.support.data.own_data import QUICK, draw_files, write_folder
from tests.support.servers.apps import NAMES, Open, failures, shown

QUIET = Progress(quiet=True)
COUNT = 60
KINDS = ["one class", pytest.param("no labels", marks=pytest.mark.long)]


def draw(root: Path, kind: str) -> Path:
    """60 drawn images, of which the last is a copy of the first, in a folder that names no class, or one."""
    folder = {"no labels": "unlabeled", "one class": "shape"}[kind]
    files = draw_files(COUNT - 1)
    images = {f"{folder}/{i:03}.png": content for i, content in enumerate(files.values())}
    images[f"{folder}/copy.png"] = next(iter(images.values()))
    return write_folder(root / "photos", images)


def refreshed(root: Path) -> Run:
    (root / "own.toml").write_text(
        f'lake = "{root}/lake"\nwork_dir = "{root}/work"\n{QUICK}[dataset]\nsource = "{root}/photos"\n'
    )
    refresh(load_settings(root / "own.toml"), QUIET)
    return Lake(root / "lake").run()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """`published(kind)` is the run of such images."""

    @cache
    def refreshed_once(kind: str) -> Run:
        root = tmp_path_factory.mktemp("without")
        draw(root, kind)
        return refreshed(root)

    return refreshed_once


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_needs_no_label_is_there_and_nothing_else(published: Callable[[str], Run], kind: str) -> None:
    run = published(kind)
    assert run.verify() > 0 and run.classes == [NO_CLASS]
    counts = {table["name"]: table["rows"] for table in run.facts["tables"]}
    for table in ("samples", "images", "properties", "predictions", "embeddings", "projection", "clusters"):
        assert counts[table] in (COUNT, 3 * COUNT), table
    assert all(counts[table] == 0 for table in tables_that_need(["model", "classes"]))
    samples = scan_samples(run).collect()
    assert samples["label"].null_count() == samples["loss"].null_count() == COUNT
    assert run.metric("score", "test_accuracy") is None


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        pytest.param("no labels", "No image has a label, so no model", marks=pytest.mark.long),
        ("one class", "All 60 labelled images are of one class ('shape')"),
    ],
)
def test_why_no_model_is_trained_is_kept_with_the_run(published: Callable[[str], Run], kind: str, said: str) -> None:
    assert any(sentence.startswith(said) for sentence in published(kind).facts["understood"])


def test_the_copy_is_found_and_its_neighbour_is_the_original(published: Callable[[str], Run]) -> None:
    run = published("one class")
    names = dict(run.scan("samples").select("source_name", "sample_id").collect().iter_rows())
    first, copy = names["shape/000.png"], names["shape/copy.png"]
    pairs = run.scan("duplicates").collect()
    assert {first, copy} in [set(pair) for pair in pairs.select("sample_id", "duplicate_id").iter_rows()]
    nearest = run.scan("neighbors").filter(pl.col("sample_id") == copy, pl.col("rank") == 1).collect()
    assert nearest["neighbor_id"].to_list() == [first]


@pytest.mark.parametrize("name", NAMES)
def test_every_page_opens_and_none_speaks_of_what_no_model_said(
    published: Callable[[str], Run], name: str, open_page: Open
) -> None:
    app = open_page(published("one class").lake.root, name)
    assert not failures(app)
    for phrase in (NO_CLASS, "brought without", "raised loss", "refresh to measure", "expected loss 0", "ighest loss"):
        assert phrase not in shown(app).partition("Adjusted p")[0], phrase


def test_overview_and_report_say_that_no_model_was_trained(published: Callable[[str], Run], open_page: Open) -> None:
    run = published("one class")
    app = open_page(run.lake.root, "overview")
    assert any(UNCLASSIFIED[3:] in info.value for info in app.info)
    assert NOTHING_MEASURED in [info.value for info in app.info]
    looked = [caption.value for caption in app.caption if caption.value.startswith("Looked for")]
    assert not [text for text in looked if "labels" in text or "splits" in text]
    report = render_report(run, None)
    assert UNCLASSIFIED[3:] in report and NOTHING_MEASURED in report and NO_CLASS not in report


def test_no_probability_and_no_order_by_loss_is_shown_of_a_sample(
    published: Callable[[str], Run], open_page: Open
) -> None:
    app = open_page(published("one class").lake.root, "similar")
    assert not failures(app) and f"1 of {COUNT}" in [caption.value for caption in app.caption]
    assert not [chart for chart in app.get("vega_lite_chart") if "probability" in chart.proto.spec.lower()]


def test_no_column_of_a_model_is_offered(published: Callable[[str], Run], open_page: Open) -> None:
    frame = open_page(published("one class").lake.root, "samples").dataframe[0].value
    assert not set(OF_CLASSES) & set(frame.columns)


def test_a_refresh_with_nothing_new_settles_an_attempt_that_stopped(published: Callable[[str], Run]) -> None:
    run = published("one class")
    settings = load_settings(Path(run.lake.root).parent / "own.toml")
    record_attempt(run.lake, "photos", "The folder was empty.", [])
    assert find_failed_attempt(run.lake) is not None
    assert run_refresh(settings, RefreshOptions())["status"] == "nothing new"
    assert find_failed_attempt(Lake(run.lake.root)) is None
    record_attempt(run.lake, "photos", "The folder was empty again.", [])
    assert not refresh(settings, QUIET).published
    assert find_failed_attempt(Lake(run.lake.root)) is None


def test_what_only_a_model_has_is_neither_exported_nor_verified(
    published: Callable[[str], Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = published("one class")
    export(run, tmp_path / "rows.csv")
    columns = pl.read_csv(tmp_path / "rows.csv").columns
    assert "cluster_kmeans" in columns and not set(OF_CLASSES) & set(columns)
    export(run, tmp_path / "map.svg")
    with pytest.raises(UserError, match=r"^This run has no confusion matrix: no model was trained, as"):
        export(run, tmp_path / "confusion.svg")
    print_status(look(run.lake, dt.datetime.now(dt.UTC)))
    assert "no model, as the images are of fewer than two classes" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"^No model was trained in run .+, as its images are of fewer than two"):
        check_again(run, QUIET, MAPS)


@pytest.mark.long
def test_labels_that_are_added_later_train_a_model_and_keep_the_samples(tmp_path: Path) -> None:
    images = draw(tmp_path, "no labels")
    before = refreshed(tmp_path)
    ids = dict(before.scan("samples").select("source_name", "sample_id").collect().iter_rows())
    write_folder(images, draw_files(120, seed=1))
    after = refreshed(tmp_path)
    assert after.dataset_id == before.dataset_id and len(after.classes) == 4
    assert after.metric("score", "test_accuracy") is not None
    kept = dict(after.scan("samples").select("source_name", "sample_id").collect().iter_rows())
    assert ids.items() <= kept.items()


def test_thumbnails_do_not_depend_on_brightness_and_do_on_colour() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(50, 150, (1, 32, 32, 3), dtype=np.uint8)
    lighter, red = image + 40, image * np.array([1, 0, 0], np.uint8)
    thumbnails = to_thumbnails(np.concatenate([image, lighter, red]))
    same, other = thumbnails[[0, 0]], thumbnails[1:]
    assert same.shape == (2, 769)
    cosine = (same * other).sum(1) / np.linalg.norm(same, axis=1) / np.linalg.norm(other, axis=1)
    assert cosine[0] == pytest.approx(1, abs=1e-3) and cosine[1] < 0.7
    assert np.abs(same[:, :768].reshape(2, 256, 3).mean(1)).max() < 1e-6


def test_images_of_a_single_colour_are_alike_and_unlike_all_others() -> None:
    rng = np.random.default_rng(0)
    plain = np.broadcast_to(rng.integers(0, 256, (20, 1, 1, 3), dtype=np.uint8), (20, 20, 20, 3))
    faint = rng.integers(100, 110, (5, 20, 20, 3), dtype=np.uint8)
    thumbnails = to_thumbnails(np.concatenate([plain, faint]))
    unit = thumbnails / np.linalg.norm(thumbnails, axis=1, keepdims=True)
    cosine = unit @ unit.T
    assert cosine[:20, :20].min() == pytest.approx(1, abs=1e-3) and cosine[:20, 20:].max() < 0.7
