"""What is unclear stops a refresh; suggestions that were taken are kept with the run, and no later refresh asks."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from lake.errors import EXIT_USAGE, UserError
from lake.storage.attempts import find_failed_attempt
from lake.storage.store import Lake
from pages.text.understood import list_assumed
from pipeline.config.dataset import DatasetSettings
from pipeline.data.dataset import Dataset
from pipeline.data.dataset_id import identify
from pipeline.engine.progress import Progress
from pipeline.refresh.refresh import refresh
from pipeline.settings import Settings
from pipeline.source.answers import Assumed, with_answers
from pipeline.source.understanding.settle import Unclear, read_assumed
from tests.support.data.external import external_settings, external_table
from tests.support.data.own_data import draw_files, load, own_settings, to_table, write_folder
from tests.support.data.pictures import encode
from tests.support.lakes.bare_run import bare_tables
from tests.support.lakes.tiny_lake import run_facts, stage_all
from tests.support.processes.commands import latentlake

QUIET = Progress(quiet=True)


@pytest.fixture
def unclear(tmp_path: Path) -> Path:
    """A table with two doubts: a column of patients, and labels that differ in their case."""
    table = to_table(draw_files(120)).with_columns(patient=pl.int_range(120) // 6)
    odd = pl.when(pl.int_range(120) == 0).then(pl.lit("Bar")).otherwise("label")
    table.with_columns(label=odd).write_parquet(tmp_path / "shapes.parquet")
    return tmp_path / "shapes.parquet"


def publish(settings: Settings, dataset: Dataset) -> None:
    """Publish a run of drawn tables that says what this dataset assumed."""
    lake, own = Lake(settings.lake), pl.lit(dataset.dataset_id).alias("dataset_id")
    run_id = f"2026010{len(lake.runs()) + 1}-000000-aaaaaa"
    tables = bare_tables(images=False, embeddings=False, run_id=run_id)
    stage_all(lake, {name: t.with_columns(own) if "dataset_id" in t.columns else t for name, t in tables.items()})
    assert settings.dataset is not None
    config = json.dumps({"dataset": settings.dataset.model_dump(mode="json")})
    facts = {"assumed": dataset.assumed, "config": config}
    lake.publish(run_facts(run_id=run_id, dataset_id=dataset.dataset_id, samples=80) | facts)


def test_a_refresh_stops_with_every_doubt_and_the_lake_knows(unclear: Path, tmp_path: Path) -> None:
    config = tmp_path / "own.toml"
    config.write_text(f'lake = "{tmp_path}/lake"\nwork_dir = "{tmp_path}/work"\n[dataset]\nsource = "{unclear}"\n')
    done = latentlake("refresh", "--config", str(config), "--json")
    assert done.returncode == EXIT_USAGE and "Traceback" not in done.stderr
    for line in (
        "is unclear in 2 points",
        '[dataset]  labels = { Bar = "bar" }',
        '[dataset]  group_column = "patient"',
    ):
        assert line in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "unclear data"
    lake = Lake(str(tmp_path / "lake"))
    attempt = find_failed_attempt(lake)
    assert attempt is not None and attempt["dataset_name"] == "shapes" and "2 points" in attempt["message"]
    assert lake.runs().is_empty()


def test_suggestions_that_are_taken_are_kept_and_not_asked_again(unclear: Path, tmp_path: Path) -> None:
    settings = own_settings(tmp_path, unclear)
    with pytest.raises(Unclear):
        load(settings)
    first = load(settings, accept=True)
    answers = {row["setting"]: json.loads(row["value"]) for row in first.assumed}
    assert answers == {"labels": {"Bar": "bar"}, "group_column": "patient"}
    assert first.classes == ["bar", "disc", "ring", "square"]
    publish(settings, first)
    again = load(settings)
    assert again.assumed == first.assumed and again.dataset_id == first.dataset_id
    assert again.split.tolist() == first.split.tolist() and again.label.tolist() == first.label.tolist()


def test_a_setting_answers_and_what_was_assumed_gives_way_to_it(unclear: Path, tmp_path: Path) -> None:
    given = {"group_column": "", "labels": {"Bar": "bar"}}
    alone = load(own_settings(tmp_path, unclear, dataset=given))
    assert alone.assumed == []
    settings = own_settings(tmp_path, unclear, dataset={"labels": {"Bar": "ring"}})
    first = load(settings, accept=True)
    assert [row["setting"] for row in first.assumed] == ["group_column"]
    publish(settings, first)
    source = settings.dataset
    assert source is not None
    assert read_assumed(Lake(settings.lake), first.dataset_id)[0].value == "patient"
    named = own_settings(tmp_path, unclear, dataset={"labels": {"Bar": "ring"}, "name": "Named"})
    with pytest.raises(Unclear, match="one point"):
        load(named)  # another dataset, of which nothing was assumed


def test_doubts_that_an_answer_raises_are_answered_in_turn(tmp_path: Path) -> None:
    table = to_table(draw_files(120)).rename({"label": "kind of thing"}).drop("name")
    odd = pl.when(pl.int_range(120) < 2).then(pl.lit("unknown")).otherwise("kind of thing")
    table.with_columns(odd.alias("kind of thing")).write_parquet(tmp_path / "shapes.parquet")
    dataset = load(own_settings(tmp_path, tmp_path / "shapes.parquet"), accept=True)
    answers = {row["setting"]: json.loads(row["value"]) for row in dataset.assumed}
    assert answers == {"label_column": "kind of thing", "labels": {"unknown": ""}}
    assert dataset.classes == ["bar", "disc", "ring", "square"] and int((dataset.label < 0).sum()) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Assumed("labels", {"Bar": "bar"}, ""),
        Assumed("splits", {"1": "train"}, ""),
        Assumed("class_level", 2, ""),
        Assumed("allow_outside", value=True, sentence=""),
    ],
)
def test_an_answer_does_not_change_the_id_of_the_dataset(answer: Assumed, tmp_path: Path) -> None:
    settings = own_settings(tmp_path, tmp_path / "shapes")
    assert settings.dataset is not None
    assert identify(with_answers(settings.dataset, [answer]), settings) == identify(settings.dataset, settings)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"name": "Ä b", "size": 48},
        {"label_column": "kind", "split_column": "part", "test_share": 0.3},
        {"predictions": {}},
        {"predictions": {"column": "p", "logits": True, "classes": ["a", "b"]}, "name_column": "id"},
    ],
)
def test_a_dataset_of_version_0_2_keeps_its_id(given: dict[str, Any], tmp_path: Path) -> None:
    settings = own_settings(tmp_path, tmp_path / "shapes.parquet", dataset=given, samples=500)
    own = settings.dataset
    assert own is not None
    columns: dict[str, Any] = {
        "name": None,
        "size": 32,
        "image_column": "image",
        "label_column": "label",
        "split_column": "split",
        "name_column": "name",
    }
    predictions = {"column": "probabilities", "logits": False, "classes": [], "embedding_column": "embedding"}
    if "predictions" in given:
        columns["predictions"] = predictions | given["predictions"]
    columns |= {"test_share": 0.2, "validation_share": 0.1}
    columns |= {key: value for key, value in given.items() if key != "predictions"}
    where = None if "name" in given else str(tmp_path / "shapes.parquet")
    facts = json.dumps([where, columns, 500, settings.split_seed])
    assert identify(own, settings).split("-")[-1] == hashlib.sha256(facts.encode()).hexdigest()[:10]


@pytest.mark.parametrize("again", [1, 2])
def test_writing_down_what_was_assumed_begins_no_new_dataset(again: int, tmp_path: Path) -> None:
    table = to_table(draw_files(120)).rename({"label": "kind of thing"}).drop("name")
    table.with_columns(patient=pl.int_range(120) // 4, site=pl.int_range(120) // 10).write_parquet(
        tmp_path / "shapes.parquet"
    )
    settings = own_settings(tmp_path, tmp_path / "shapes.parquet")
    first = load(settings, accept=True)
    publish(settings, first)
    answers = {row["setting"]: json.loads(row["value"]) for row in first.assumed}
    assert answers.keys() == {"label_column", "group_column"}
    written = own_settings(tmp_path, tmp_path / "shapes.parquet", dataset=answers)
    for _ in range(again):  # the second time, the last run has the written settings
        found = load(written)
        assert found.dataset_id == first.dataset_id and found.split.tolist() == first.split.tolist()
        publish(written, found)
    assert list_assumed(Lake(settings.lake).run()) == []
    other = own_settings(tmp_path, tmp_path / "shapes.parquet", dataset=answers | {"group_column": "site"})
    assert load(other).dataset_id != first.dataset_id


@pytest.mark.parametrize(("column", "setting"), [("kind of thing", "label_column"), ("patient", "group_column")])
def test_an_assumed_column_that_is_gone_is_told_as_such_and_can_be_set(
    column: str, setting: str, tmp_path: Path
) -> None:
    table = to_table(draw_files(120)).rename({"label": "kind of thing"}).drop("name")
    table = table.with_columns(patient=pl.int_range(120) // 4)
    table.write_parquet(tmp_path / "shapes.parquet")
    settings = own_settings(tmp_path, tmp_path / "shapes.parquet")
    first = load(settings, accept=True)
    publish(settings, first)
    table.rename({column: "other"}).write_parquet(tmp_path / "shapes.parquet")
    for accept in (False, True):
        with pytest.raises(
            UserError, match=f"no column '{column}'.* An earlier run assumed {setting} = \"{column}\", as"
        ):
            load(settings, accept=accept)
    given = {"label_column": "kind of thing", "group_column": "patient"} | {setting: "other"}
    found = load(own_settings(tmp_path, tmp_path / "shapes.parquet", dataset=given))
    assert len(found) == 120 and found.classes == first.classes and found.assumed == []


def test_an_assumed_level_that_no_folder_has_any_more_is_told_as_such_and_can_be_set(tmp_path: Path) -> None:
    for part in "12":
        write_folder(tmp_path / "shapes", draw_files(60, seed=int(part)), below=f"x/{part}")
    settings = own_settings(tmp_path, tmp_path / "shapes")
    first = load(settings, accept=True)
    assert [(row["setting"], row["value"]) for row in first.assumed] == [("class_level", "3")]
    publish(settings, first)
    shutil.rmtree(tmp_path / "shapes")
    write_folder(tmp_path / "shapes", draw_files(120))
    with pytest.raises(UserError, match=r"at most 1 deep.* An earlier run assumed class_level = 3, as nothing is set"):
        load(settings)
    found = load(own_settings(tmp_path, tmp_path / "shapes", dataset={"class_level": 1}))
    assert found.dataset_id == first.dataset_id and found.classes == first.classes and found.assumed == []


def test_a_stored_answer_is_read_for_its_own_dataset_only(unclear: Path, tmp_path: Path) -> None:
    settings = own_settings(tmp_path, unclear)
    publish(settings, load(settings, accept=True))
    assert read_assumed(Lake(settings.lake), "other-0123456789") == []


def test_images_of_16_bits_keep_their_pixels_when_brighter_ones_are_added(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def write(count: int, highest: int) -> None:
        for i in range(count):
            path = tmp_path / "deep" / ("dark" if i % 2 else "light") / f"{highest}-{i:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, highest, (32, 32), dtype=np.uint16)
            path.write_bytes(encode(Image.fromarray(pixels)))

    write(120, 4096)
    settings = own_settings(tmp_path, tmp_path / "deep")
    first = load(settings)
    assert [row["setting"] for row in first.assumed] == ["value_range"] and first.images_NHWC.max() > 200
    publish(settings, first)
    write(40, 60_000)
    second = load(settings)
    now = dict(zip(second.source_name, second.sha256, strict=True))
    assert len(second) == 160 and second.assumed == first.assumed
    assert all(now[name] == sha256 for name, sha256 in zip(first.source_name, first.sha256, strict=True))


def test_a_published_run_says_what_it_assumed_and_the_next_refresh_asks_nothing(tmp_path: Path) -> None:
    table = external_table().drop("image", "embedding", "light").with_columns(split=pl.lit("x"))
    settings = external_settings(tmp_path, table)
    with pytest.raises(Unclear):
        refresh(settings, QUIET)
    lake = Lake(settings.lake)
    assert find_failed_attempt(lake) is not None
    assert refresh(settings, QUIET, accept=True).published
    run = lake.run()
    assert [(row["setting"], json.loads(row["value"])) for row in run.facts["assumed"]] == [("split_column", "")]
    assert find_failed_attempt(lake) is None
    assert not refresh(settings, QUIET).published


def test_settings_without_a_source_have_no_answers() -> None:
    own = DatasetSettings(source=Path("photos"))
    assert with_answers(own, []) == own
