"""A look at a source is one screen, and the settings file written from it answers what it asks."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lake.errors import UsageError, UserError
from pipeline.commands.init import describe, write_found
from pipeline.commands.inspect import choose, to_json
from pipeline.commands.look import Look, look
from pipeline.config.dataset import DatasetSettings
from pipeline.settings import load_settings
from pipeline.source.understanding.understand import understand
from tests.support.data.own_data import draw_files, to_table, write_folder
from tests.support.lakes.tiny_data import lists
from tests.support.processes.commands import latentlake


def look_at(source: Path, tmp_path: Path) -> Look:
    return look(DatasetSettings(source=source), load_settings(), tmp_path / "cache", lambda _: None)


def text_of(found: Look, heading: str) -> str:
    return "\n".join(text for name, text in found.lines if name == heading)


@pytest.fixture
def unclear(tmp_path: Path) -> Path:
    """A table in which patients and a spelling of a class are unclear."""
    table = to_table(draw_files(120)).with_columns(patient=pl.int_range(120) // 6)
    odd = pl.when(pl.int_range(120) == 0).then(pl.lit("Bar")).otherwise("label")
    table.with_columns(label=odd).write_parquet(tmp_path / "my shapes.parquet")
    return tmp_path / "my shapes.parquet"


def test_a_folder_is_described_on_one_screen(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "shapes", draw_files(120))
    (folder / "notes.xml").write_text("<a/>")
    (folder / "loop").symlink_to("..")
    found = look_at(folder, tmp_path)
    assert text_of(found, "source") == f"{folder} (folder of images)"
    assert text_of(found, "images") == "120 images"
    assert text_of(found, "classes") == "4: bar 30, disc 30, ring 30, square 30"
    assert text_of(found, "splits") == "none named: 20 % test and 10 % validation are drawn by class"
    assert "notes.xml" in text_of(found, "left aside")
    assert "'symbolic link loop', such as loop" in text_of(found, "refused")
    assert found.own.size == 32 and text_of(found, "size").startswith("32 px")
    assert "training steps of 84 of 84 images" in text_of(found, "cost")
    assert not text_of(found, "unclear") and len(found.lines) <= 20


def test_too_few_images_and_classes_are_said_beforehand(tmp_path: Path) -> None:
    one = write_folder(tmp_path / "one", dict(list(draw_files(120).items())[::4]))
    found = look_at(one, tmp_path)
    assert "are of one class" in text_of(found, "model") and not text_of(found, "too little")
    (tmp_path / "none").mkdir()
    assert "at least 20" in text_of(look_at(tmp_path / "none", tmp_path), "too little")
    assert not text_of(look_at(write_folder(tmp_path / "shapes", draw_files(120)), tmp_path), "too little")


@pytest.mark.parametrize(("broken", "stops"), [(60, False), (61, True)])
def test_that_most_images_cannot_be_read_is_said_beforehand(broken: int, stops: bool, tmp_path: Path) -> None:
    files = draw_files(60) | {f"bar/broken{i:02}.png": (b"", "bar") for i in range(broken)}
    said = text_of(look_at(write_folder(tmp_path / "shapes", files), tmp_path), "too little")
    assert said.startswith("61 of 121 images looked at cannot be read. A refresh stops") if stops else not said


def test_of_many_classes_the_largest_and_smallest_are_named(tmp_path: Path) -> None:
    label = [f"c{i}" for i in range(40) for _ in range(i + 1)]
    image = next(iter(draw_files(1).values()))[0]
    pl.DataFrame({"image": [image] * len(label), "label": label}).write_parquet(tmp_path / "many.parquet")
    said = text_of(look_at(tmp_path / "many.parquet", tmp_path), "classes")
    assert said == "40, c0 to c39; largest c39 40, c38 39, c37 38; smallest c2 3, c1 2, c0 1"


def test_a_table_without_images_is_looked_at_as_one_of_predictions(tmp_path: Path) -> None:
    label = [f"c{i % 3}" for i in range(150)]
    table = pl.DataFrame({"key": [f"k{i}" for i in range(150)], "label": label})
    numbers = np.random.default_rng(0).normal(size=(150, 3))
    numbers[np.arange(150), np.arange(150) % 3] += 6
    table.with_columns(logits=lists(numbers)).write_parquet(tmp_path / "said.parquet")
    found = look_at(tmp_path / "said.parquet", tmp_path)
    assert found.own.predictions is not None and text_of(found, "images") == "150 rows"
    assert "predictions.logits" in [doubt.setting for doubt in found.understanding.listing.notes.doubts]
    text = describe(found)
    path = tmp_path / "latentlake.toml"
    path.write_text(re.sub(r"^# (?=logits = )", "", text, flags=re.M))
    answered = load_settings(path).dataset
    assert answered is not None and answered.predictions is not None and answered.predictions.logits is True
    assert not understand(answered, tmp_path, lambda _: None).listing.notes.doubts


def test_a_table_without_images_or_predictions_says_which_is_missing(tmp_path: Path) -> None:
    pl.DataFrame({"label": ["a", "b"] * 60}).write_parquet(tmp_path / "bare.parquet")
    with pytest.raises(UserError, match="No predictions were found in the table"):
        look_at(tmp_path / "bare.parquet", tmp_path)


def test_the_settings_of_a_look_ask_as_comments_and_answer_once_those_are_removed(
    unclear: Path, tmp_path: Path
) -> None:
    found = look_at(unclear, tmp_path)
    assert text_of(found, "unclear").count("[dataset]  ") == 2
    path = tmp_path / "latentlake.toml"
    write_found(path, found, force=False)
    as_written = load_settings(path).dataset
    assert as_written is not None and as_written.source == unclear and as_written.size == 32
    assert len(understand(as_written, tmp_path, lambda _: None).listing.notes.doubts) == 2
    path.write_text(re.sub(r"^# (?=labels = |group_column = )", "", path.read_text(), flags=re.M))
    answered = load_settings(path).dataset
    assert answered is not None and (answered.labels, answered.group_column) == ({"Bar": "bar"}, "patient")
    assert not understand(answered, tmp_path, lambda _: None).listing.notes.doubts
    with pytest.raises(UserError, match="exists"):
        write_found(path, found, force=False)


def test_inspect_prints_the_same_as_text_and_as_json(unclear: Path, tmp_path: Path) -> None:
    facts = json.loads(to_json(look_at(unclear, tmp_path)))
    assert facts["images"] == 120 and facts["kind"] == "parquet or Arrow"
    assert {row["setting"] for row in facts["unclear"]} == {"labels", "group_column"}
    done = latentlake("inspect", str(unclear), LATENTLAKE_WORK_DIR=str(tmp_path / "work"))
    assert done.returncode == 0 and "Traceback" not in done.stderr
    shown = " ".join(done.stdout.split())
    assert "120 images" in shown and "group_column" in shown
    printed = latentlake("inspect", str(unclear), "--json", LATENTLAKE_WORK_DIR=str(tmp_path / "work"))
    assert json.loads(printed.stdout)["unclear"] == facts["unclear"]


def test_init_writes_what_was_found(unclear: Path, tmp_path: Path) -> None:
    target = tmp_path / "found.toml"
    done = latentlake("init", str(unclear), "--to", str(target))
    assert done.returncode == 0, done.stderr
    assert f"Wrote {target}: answer 2 questions in it, then `latentlake refresh --config {target}`." in done.stdout
    assert load_settings(target).dataset is not None


def test_the_settings_about_a_source_are_used_for_it_and_for_no_other(tmp_path: Path) -> None:
    settings = load_settings(dataset={"source": tmp_path / "photos", "size": 48})
    assert choose(str(tmp_path / "photos"), settings).size == choose(None, settings).size == 48
    assert choose(str(tmp_path / "others"), settings).size == 32
    with pytest.raises(UsageError, match="Name a source to inspect"):
        choose(None, load_settings())
