"""What cannot be used of a source, or of the settings about it, is one sentence or a row of the quarantine."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.contracts.quality import Quarantine
from lake.errors import UsageError, UserError
from pipeline.settings import PRESETS, load_settings
from pipeline.source.understanding.settle import Unclear
from tests.support.data.own_data import count_splits, draw_files, load, own_settings, to_table, write_folder

NAMED = {"name": "Shapes"}


def test_classes_that_a_grouping_does_not_name_are_other(folder: Path, tmp_path: Path) -> None:
    dataset = load(own_settings(tmp_path, folder, dataset={"groups": {"form": {"round": ["disc", "ring"]}}}))
    assert dataset.groups == {"form": {"bar": "other", "disc": "round", "ring": "round", "square": "other"}}
    assert dataset.frame["groups"][0].to_list()[0]["name"] == "form"


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"groups": {"form": {"round": ["disk"]}}}, r"\[dataset\.groups\.form\] names 'disk', which is not a class"),
        ({"groups": {"loss": {"round": ["disc"]}}}, "'loss' is already a column"),
        ({"label_column": "kind"}, "has no column 'kind': its columns are name, image, label"),
        ({"split_column": "part"}, "has no column 'part'"),
        ({"metadata": ["iso"]}, "has no column 'iso'"),
        ({"metadata": ["label"]}, "'label' is already a column of the samples"),
        ({"metadata": ["image"]}, "has type Binary, but metadata is text or numbers"),
        ({"label_column": "image"}, "'image' has type Binary, but labels are text or numbers: choose another"),
        ({"split_column": "image"}, "'image' has type Binary, but text is needed"),
        ({"image_column": "row"}, "'row' has type UInt32: images are encoded bytes, paths or pixels"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    own: dict[str, Any], message: str, files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    to_table(files).with_row_index("row").select("name", "image", "label", "row").write_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match=message):
        load(own_settings(tmp_path, tmp_path / "a.parquet", dataset=own))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pl.lit(None, pl.Binary).alias("image"), r"'image missing', as for bar/0000\.png"),
        (pl.lit(b"text").alias("image"), r"'not an image', as for bar/0000\.png"),
        (pl.lit("same.png").alias("name"), r"'duplicate name', as for same\.png"),
    ],
)
def test_of_rows_that_cannot_be_used_the_commonest_reason_is_told(
    column: pl.Expr, said: str, files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    to_table(files).with_columns(column).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match=rf"that cannot be used: .* reason \(\d+ of them\) is {said}.*\. Fix these"):
        load(own_settings(tmp_path, tmp_path / "a.parquet", dataset={"name_column": "name"}))


def test_a_split_that_means_nothing_is_asked_about_before_anything_is_decoded(
    files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    to_table(files).with_columns(split=pl.lit("1")).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(Unclear, match=r"splits '1' \(120 rows\) .* mean: there is only one value") as raised:
        load(own_settings(tmp_path, tmp_path / "a.parquet"))
    assert '[dataset]  split_column = ""' in str(raised.value)
    assert (
        count_splits(load(own_settings(tmp_path, tmp_path / "a.parquet", dataset={"split_column": ""})))["test"] == 24
    )


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    few = write_folder(tmp_path / "few", draw_files(19))
    (few / "notes.png").write_text("no image")
    sentence = (
        r"has 19 usable images, and 1 that cannot be used: at least 20 are needed\. "
        r"The most common reason \(1 of them\) is 'not an image', as for notes\.png \(not one of .*\)\. "
        r"Fix these images, or add others\."
    )
    with pytest.raises(UserError, match=sentence):
        load(own_settings(tmp_path, few))
    (few / "notes.png").unlink()
    (few / "notes.txt").write_text("a note beside the images")
    with pytest.raises(UserError, match="has 19 usable images: at least 20 are needed"):
        load(own_settings(tmp_path, few))
    test = write_folder(tmp_path / "test", draw_files(100), below="test")
    with pytest.raises(UserError, match="has no labelled image in the split train"):
        load(own_settings(tmp_path, test))


@pytest.mark.parametrize("name", ["missing", "text.txt", "bad.parquet", "bad.csv", "empty.csv"])
def test_a_source_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    for file in ("text.txt", "bad.parquet", "empty.csv"):
        (tmp_path / file).write_text("")
    (tmp_path / "bad.csv").write_bytes(b'image,label\n\xff\xfe,"\n')
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        load(own_settings(tmp_path, tmp_path / name))


def test_settings_of_a_dataset_are_described_checked_and_scale_the_schedule(tmp_path: Path) -> None:
    own = load_settings(dataset={"source": tmp_path}).dataset
    assert own is not None and all(part.description for part in type(own).model_fields.values())
    for wrong in (
        {"source": tmp_path, "colour": 1},
        {"source": tmp_path, "size": 4},
        {"source": tmp_path, "test_share": 0.6, "validation_share": 0.4},
        {"source": tmp_path, "groups": {"form": {"a": ["x"], "b": ["x"]}}},
        {"source": tmp_path, "groups": {"a form": {"a": ["x"]}}},
    ):
        with pytest.raises(UsageError, match="dataset"):
            load_settings(dataset=wrong)
    plain = [phase["resolution"] for phase in PRESETS["quick"]["phases"]]
    assert [p.resolution for p in load_settings(dataset={"source": tmp_path}).phases] == plain == [12, 16, 24]
    double = load_settings(dataset={"source": tmp_path, "size": 64})
    assert [p.resolution for p in double.phases] == [24, 32, 48] and double.side == 64
    chosen = load_settings(dataset={"source": tmp_path, "size": 64}, phases=[{"resolution": 40, "epochs": 1}])
    assert chosen.resolution == 40


def test_the_quarantine_keeps_its_contract(folder: Path, tmp_path: Path) -> None:
    (folder / "notes.png").write_text("no image")
    (folder / "notes.txt").write_text("a note beside the images")
    dataset = load(own_settings(tmp_path, folder))
    frame = dataset.quarantine.with_columns(dataset_id=pl.lit("shapes"))
    assert Quarantine.validate(frame, cast=True)["source_name"].to_list() == ["notes.png"]
    (aside,) = [sentence for sentence in dataset.understood if sentence.startswith("Left aside: ")]
    assert aside == "Left aside: texts and annotations: 1, such as notes.txt."
