"""New images get a number that they keep for ever, labels arrive later, and what cannot be read is named."""

import io
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from lake.contracts.quality import Quarantine
from lake.contracts.tables import make_frame
from lake.errors import UserError
from lake.storage.store import Lake
from pipeline.data.dataset import Dataset
from pipeline.data.incoming.add import add_new_data, list_files, list_new_data
from pipeline.engine.progress import Progress
from tests.support.data.drawn import CLASSES, drawn_dataset, tiny_settings
from tests.support.data.pictures import encode, picture
from tests.support.lakes.tiny_data import NO_ORIGINAL

QUIET = Progress(quiet=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with three images, one of them labelled, one of another size."""
    folder = tmp_path / "new"
    (folder / "cam").mkdir(parents=True)
    for name, data in {"a.png": picture(1), "cam/b.png": picture(2), "cam/c.png": picture(3, side=50)}.items():
        (folder / name).write_bytes(data)
    (folder / "labels.csv").write_text("name,label\ncam/b.png,disc\n")
    return folder


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def add(dataset: Dataset, source: Path | str, lake: Lake, own: dict[str, object] | None = None) -> Dataset:
    """The dataset with the new data of a source, under settings of the dataset."""
    folder = Path(lake.root).parent
    settings = tiny_settings(folder, new_data=source, cache_dir=folder / "cache", dataset=own)
    return add_new_data(dataset, settings, lake, QUIET)


def added(dataset: Dataset) -> list[tuple[int, str, str, int]]:
    rows = range(400, len(dataset))
    return [
        (int(dataset.sample_id[i]), dataset.source_name[i], str(dataset.split[i]), int(dataset.label[i])) for i in rows
    ]


def keep(lake: Lake, dataset: Dataset) -> None:
    """What a refresh leaves of the dataset in the lake."""
    lake.stage("samples", dataset.frame)
    frame = pl.DataFrame({"dataset_id": dataset.dataset_id, "sample_id": dataset.sample_id})
    known = lake.staged("images", dataset.dataset_id).collect() if lake.has("images", dataset.dataset_id) else None
    new = frame if known is None else frame.join(known, on="sample_id", how="anti")
    lake.add_rows("images", new.with_columns(png=pl.lit(b"x"), width=1, height=1, **NO_ORIGINAL))


def test_new_images_follow_the_known_ones_in_the_order_of_their_names(source: Path, lake: Lake) -> None:
    data = add(drawn_dataset(), source, lake)
    assert added(data) == [
        (400, "a.png", "unlabeled", -1),
        (401, "cam/b.png", "test", 1),
        (402, "cam/c.png", "unlabeled", -1),
    ]
    assert data.images_NHWC.shape == (403, 32, 32, 3)
    with Image.open(source / "a.png") as image:
        assert np.array_equal(data.images_NHWC[400], np.asarray(image))
    assert data.dataset_id == drawn_dataset().dataset_id and data.content() != drawn_dataset().content()


def test_of_new_images_of_another_size_the_picture_is_kept_once(source: Path, lake: Lake) -> None:
    data = add(drawn_dataset(), source, lake)
    assert {number: (one.width, one.height) for number, one in data.originals.items()} == {402: (50, 50)}
    with Image.open(io.BytesIO(data.originals[402].picture)) as image, Image.open(source / "cam" / "c.png") as stored:
        assert np.array_equal(np.asarray(image), np.asarray(stored))
    keep_none: dict[str, object] = {"source": source, "display_side": 0}
    assert add(drawn_dataset(), source, lake, keep_none).originals == {}
    keep(lake, data)
    assert add(drawn_dataset(), source, lake).originals == {}


def test_a_sample_keeps_its_number_and_no_number_is_given_twice(source: Path, lake: Lake) -> None:
    keep(lake, add(drawn_dataset(), source, lake))
    (source / "0.png").write_bytes(picture(7))
    (source / "cam" / "c.png").unlink()
    (source / "a.png").write_bytes(picture(8))  # other pixels: another sample
    second = add(drawn_dataset(), source, lake)
    assert [(number, name) for number, name, *_ in added(second)] == [
        (401, "cam/b.png"),
        (403, "0.png"),
        (404, "a.png"),
    ]
    keep(lake, second)
    (source / "a.png").write_bytes(picture(1))
    (source / "0.png").unlink()
    third = added(add(drawn_dataset(), source, lake))
    assert [(number, name) for number, name, *_ in third] == [(401, "cam/b.png"), (405, "a.png")]


def test_a_label_that_arrives_updates_the_sample_and_keeps_its_number(source: Path, lake: Lake) -> None:
    keep(lake, add(drawn_dataset(), source, lake))
    own = drawn_dataset()
    withheld = int(own.rows("unlabeled")[0])
    labels = f"name,label\ncam/b.png,disc\na.png,ring\n{own.source_name[withheld]},square\n"
    (source / "labels.csv").write_text(labels)
    data = add(own, source, lake)
    assert added(data)[0] == (400, "a.png", "test", CLASSES.index("ring"))
    assert (data.split[withheld], data.label[withheld]) == ("test", CLASSES.index("square"))
    assert data.content("train") == own.content("train")


def test_a_label_does_not_change_one_that_was_known(source: Path, lake: Lake) -> None:
    own = drawn_dataset()
    tested = int(own.rows("test")[0])
    other = CLASSES[(own.label[tested] + 1) % 4]
    (source / "labels.csv").write_text(f"name,label\n{own.source_name[tested]},{other}\n")
    assert add(own, source, lake).label[tested] == own.label[tested]


def test_a_parquet_file_is_a_folder_in_one_file(source: Path, lake: Lake, tmp_path: Path) -> None:
    names = ["a.png", "cam/b.png", "cam/c.png"]
    rows = {"name": names, "image": [(source / name).read_bytes() for name in names], "label": [None, "disc", None]}
    pl.DataFrame(rows).write_parquet(tmp_path / "new.parquet")
    assert add(drawn_dataset(), tmp_path / "new.parquet", lake).content() == (
        add(drawn_dataset(), source, lake).content()
    )


def test_an_empty_folder_changes_nothing(tmp_path: Path, lake: Lake) -> None:
    (tmp_path / "new").mkdir()
    assert add(drawn_dataset(), tmp_path / "new", lake).content() == drawn_dataset().content()


# --- what cannot be used stops nothing


def reasons(dataset: Dataset) -> dict[str, str]:
    return dict(dataset.quarantine.select("source_name", "reason").iter_rows())


def told(dataset: Dataset) -> str:
    return "\n".join(dataset.understood)


def test_what_cannot_be_used_is_in_quarantine_and_the_rest_is_added(source: Path, lake: Lake, tmp_path: Path) -> None:
    whole = encode(Image.open(io.BytesIO(picture(0, side=64))), "JPEG")
    (source / "cut.jpg").write_bytes(whole[: len(whole) * 6 // 10])
    (source / "zero.jpg").write_bytes(b"")
    (source / "text.png").write_bytes(b"no image")
    (source / "photo.HEIC").write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(500))
    (source / "gone.jpg").symlink_to(tmp_path / "gone.jpg")
    (source / "loop.jpg").symlink_to(source / "loop.jpg")
    os.mkfifo(source / "pipe.jpg")
    (source / "folder.jpg").mkdir()
    data = add(drawn_dataset(), source, lake)
    assert [name for _, name, *_ in added(data)] == ["a.png", "cam/b.png", "cam/c.png"]
    found = reasons(data)
    assert found.pop("photo.HEIC") in ("not an image", "damaged image")
    assert found == {
        "cut.jpg": "truncated",
        "folder.jpg": "not a file",
        "gone.jpg": "missing file",
        "loop.jpg": "symbolic link loop",
        "pipe.jpg": "not a file",
        "text.png": "not an image",
        "zero.jpg": "zero bytes",
    }
    Quarantine.validate(data.quarantine.with_columns(dataset_id=pl.lit(data.dataset_id)), cast=True)


def test_hidden_and_system_files_are_passed_over_and_images_of_all_formats_are_read(source: Path, lake: Lake) -> None:
    (source / "._a.png").write_bytes(b"\x00\x05\x16\x07" + bytes(100))
    (source / ".cache").mkdir()
    (source / ".cache" / "t.png").write_bytes(picture(5))
    (source / "Thumbs.db").write_bytes(b"x")
    image = Image.open(io.BytesIO(picture(6)))
    for name, kind in {"d.tif": "TIFF", "e.gif": "GIF", "f.bmp": "BMP"}.items():
        (source / name).write_bytes(encode(image, kind))
    data = add(drawn_dataset(), source, lake)
    names = [name for _, name, *_ in added(data)]
    assert names == ["a.png", "cam/b.png", "cam/c.png", "d.tif", "e.gif", "f.bmp"]
    assert data.quarantine.is_empty()


def test_a_refused_file_has_a_name_of_its_own_beside_samples_and_other_refused_ones(source: Path, lake: Lake) -> None:
    own = drawn_dataset()
    row = {"source_name": "zero.png", "reason": "zero bytes", "detail": ""}
    own = replace(own, quarantine=make_frame("quarantine", [row]), usable=400)
    (source / "zero.png").write_bytes(b"")
    data = add(own, source, lake)
    assert reasons(data) == {"zero.png": "zero bytes", "zero.png (2)": "zero bytes"}
    assert data.usable == len(data) == 403


def test_an_image_with_an_unknown_label_is_in_quarantine_until_the_label_is_one(source: Path, lake: Lake) -> None:
    (source / "labels.csv").write_text("name,label\na.png,unicorn\ncam/b.png,disc\n")
    data = add(drawn_dataset(), source, lake)
    assert [name for _, name, *_ in added(data)] == ["cam/b.png", "cam/c.png"]
    assert data.quarantine.row(0, named=True)["reason"] == "unknown label"
    assert data.quarantine["detail"][0] == "'unicorn' is not one of the classes bar, disc, ring, square"
    keep(lake, data)
    (source / "labels.csv").write_text("name,label\na.png,bar\ncam/b.png,disc\n")
    data = add(drawn_dataset(), source, lake)
    assert added(data)[-1] == (402, "a.png", "test", 0) and data.quarantine.is_empty()


def test_where_no_image_has_a_label_new_ones_are_added_without_one_and_this_is_said(source: Path, lake: Lake) -> None:
    bare = replace(drawn_dataset(), classes=[], groups={}, label=np.full(400, -1), split=np.full(400, "unlabeled"))
    known = bare.source_name[0]
    (source / "labels.csv").write_text(f"name,label\na.png,unicorn\ncam/b.png,disc\n{known},disc\n")
    data = add(bare, source, lake)
    assert [row[1:] for row in added(data)] == [(name, "unlabeled", -1) for name in ("a.png", "cam/b.png", "cam/c.png")]
    assert data.quarantine.is_empty() and (data.label == -1).all()
    assert any("No image of the dataset has a label" in said and "2 labels" in said for said in data.understood)


# --- labels


@pytest.mark.parametrize(
    "text",
    [
        "name,label\na.png,disc\n",
        "image,label\na.png,disc\n",
        "filename;class\na.png;disc\n",
        "id\tlabel\na\tdisc\n",
        "label,path\ndisc,photos/a.png\n",
        "label,path\ndisc,C:\\photos\\A.PNG\n",
        "name,label\na.jpg,Disc\n",
        "name,label\n./a.png, DISC \n",
        "file,what\na.png,disc\n",
        "note,file,label,who\nblurred,a.png,disc,me\n",
    ],
)
def test_a_list_of_labels_is_read_in_any_dialect(source: Path, lake: Lake, text: str) -> None:
    (source / "labels.csv").write_bytes(text.encode("utf-16" if "note" in text else "utf-8-sig"))
    data = add(drawn_dataset(), source, lake)
    assert [(name, label) for _, name, _, label in added(data)] == [("a.png", 1), ("cam/b.png", -1), ("cam/c.png", -1)]
    assert "labels.csv names 1 new image and 0 samples" in told(data)


def test_a_label_in_another_spelling_is_that_of_the_only_class_it_can_mean_and_said(source: Path, lake: Lake) -> None:
    own = replace(drawn_dataset(), classes=["a", "A", "traffic-light", "square"])
    rows = "a.png,Traffic Light\ncam/b.png,Square\ncam/c.png,A\n"
    (source / "labels.csv").write_text("name,label\n" + rows)
    data = add(own, source, lake)
    assert [label for *_, label in added(data)] == [2, 3, 1]
    assert "'Square' as 'square', 'Traffic Light' as 'traffic-light'" in told(data)
    (source / "labels.csv").write_text("name,label\na.png,\uff21\n")  # a wide A: either class
    assert reasons(add(own, source, lake)) == {"a.png": "unknown label"}


@pytest.mark.parametrize("label", ["", "nan", "N/A", "unlabeled"])
def test_a_missing_label_is_none(source: Path, lake: Lake, label: str) -> None:
    (source / "labels.csv").write_text(f"name,label\na.png,{label}\ncam/b.png,disc\n")
    assert [label for *_, label in added(add(drawn_dataset(), source, lake))] == [-1, 1, -1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,label\nelsewhere/x.png,disc\n", "'elsewhere/x.png', are neither those of the images here"),
        ("name,label\n", "labels.csv is not used: .* has a header but no rows"),
        ("", "labels.csv is not used"),
        ("name,size\na.png,3\n", "none of its columns size holds classes"),
    ],
)
def test_a_list_that_is_of_no_use_is_said_and_stops_nothing(source: Path, lake: Lake, text: str, words: str) -> None:
    (source / "labels.csv").write_text(text)
    data = add(drawn_dataset(), source, lake)
    assert [label for *_, label in added(data)] == [-1, -1, -1]
    assert re.search(words, told(data))


def test_rows_that_match_nothing_are_counted_and_ambiguous_names_label_no_image(source: Path, lake: Lake) -> None:
    (source / "dog").mkdir()
    (source / "dog" / "b.png").write_bytes(picture(9))
    (source / "labels.csv").write_text("name,label\nb.png,ring\na.png,disc\nother/b.png,disc\n")
    data = add(drawn_dataset(), source, lake)
    assert {name: label for _, name, _, label in added(data)} == {
        "a.png": 1,
        "cam/b.png": -1,
        "cam/c.png": -1,
        "dog/b.png": -1,
    }
    assert (
        "labels.csv names 1 new image and 0 samples of the dataset; rows that name neither: 2, such as 'b.png'"
        in told(data)
    )


def test_every_night_may_bring_a_folder_with_its_own_list(tmp_path: Path, lake: Lake) -> None:
    for night, label in {"mon": "disc", "tue": "ring"}.items():
        (tmp_path / "new" / night).mkdir(parents=True)
        (tmp_path / "new" / night / "1.png").write_bytes(picture(len(label)))
        (tmp_path / "new" / night / "labels.csv").write_text(f"name,label\n1.png,{label}\n")
    data = add(drawn_dataset(), tmp_path / "new", lake)
    assert [(name, label) for _, name, _, label in added(data)] == [("mon/1.png", 1), ("tue/1.png", 2)]


def test_a_list_under_another_name_counts_only_if_all_its_labels_are_classes(source: Path, lake: Lake) -> None:
    (source / "labels.csv").unlink()
    (source / "photos.csv").write_text("file,class\na.png,disc\ncam/b.png,blue\n")
    assert [label for *_, label in added(add(drawn_dataset(), source, lake))] == [-1, -1, -1]
    (source / "predicted_labels.csv").write_text("file,label\na.png,bar\n")
    (source / "photos.csv").write_text("file,class\na.png,disc\ncam/b.png,ring\n")
    assert [label for *_, label in added(add(drawn_dataset(), source, lake))] == [1, 2, -1]


def test_labels_that_contradict_each_other_are_no_label_and_said(source: Path, lake: Lake) -> None:
    (source / "labels.csv").write_text("name,label\na.png,disc\na.png,ring\ncam/b.png,bar\ncam/b.png,Bar\n")
    data = add(drawn_dataset(), source, lake)
    assert [label for *_, label in added(data)] == [-1, 0, -1]
    assert "Without a label, as several classes are given: 1 image, such as a.png" in told(data)


def write(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(number))
    return folder


def test_folders_that_are_called_as_classes_label_the_images_below_them(tmp_path: Path, lake: Lake) -> None:
    names = [
        "05-01/disc/1.png",
        "05-01/Ring/1.png",
        "05-02/disc/x/2.png",
        "05-02/unlabeled/3.png",
        "bar/4.png",
        "5.png",
    ]
    data = add(drawn_dataset(), write(tmp_path / "new", *names, "05-02/wolf/6.png", "05-02/2024-05-02/7.png"), lake)
    assert {name: label for _, name, _, label in added(data)} == {
        **dict(zip(names, [1, 2, 1, -1, 0, -1], strict=True)),
        "05-02/2024-05-02/7.png": -1,
    }
    assert reasons(data) == {"05-02/wolf/6.png": "unknown label"}
    assert "Folders name the label of 5 images" in told(data)
    assert {str(split) for _, _, split, label in added(data) if label >= 0} == {"test"}


def test_of_two_levels_called_as_classes_the_setting_class_level_chooses(tmp_path: Path, lake: Lake) -> None:
    folder = write(tmp_path / "new", "disc/bar/1.png", "disc/ring/2.png")
    assert [label for *_, label in added(add(drawn_dataset(), folder, lake))] == [0, 2]
    own = {"source": tmp_path, "class_level": 1}
    assert [label for *_, label in added(add(drawn_dataset(), folder, lake, own=own))] == [1, 1]


def test_labels_of_an_unlabeled_split_are_withheld_and_other_splits_are_test(tmp_path: Path, lake: Lake) -> None:
    rows = {"file": ["1.png", "2.png", "3.png"], "label": ["disc"] * 3, "split": ["train", "test", "unlabeled"]}
    pl.DataFrame(rows).write_csv(write(tmp_path / "new", *rows["file"]) / "table.csv")
    data = add(drawn_dataset(), tmp_path / "new" / "table.csv", lake)
    assert [(split, label) for *_, split, label in added(data)] == [("test", 1), ("test", 1), ("unlabeled", -1)]
    assert "Labelled images named train join the split test, as new images are not learnt from: 1." in told(data)


def test_an_unknown_label_of_a_sample_is_said_and_changes_nothing(source: Path, lake: Lake) -> None:
    own = drawn_dataset()
    name = own.source_name[int(own.rows("unlabeled")[0])]
    (source / "labels.csv").write_text(f"name,label\n{name},unicorn\n")
    data = add(own, source, lake)
    assert np.array_equal(data.label[:400], own.label) and data.quarantine.is_empty()
    assert f"Labels of samples of the dataset that are not one of its classes: 1, such as 'unicorn' of {name}" in told(
        data
    )


# --- tables and archives


def test_a_table_of_any_kind_is_read_by_the_settings_of_the_dataset(tmp_path: Path, lake: Lake) -> None:
    names = ["1.png", "2.png", "3.png"]
    rows = {"photo": names, "sort": ["kitty", "RING", None], "site": ["a", "b", None], "iso": ["100", "x", ""]}
    pl.DataFrame(rows).write_csv(write(tmp_path / "new", *names) / "t.csv", separator=";")
    metadata = {
        "site": pl.Series(["z"] * 400),
        "iso": pl.Series([1.5] * 400),
        "depth": pl.Series(list(range(400)), dtype=pl.Int64),
    }
    own = {
        "source": tmp_path,
        "image_column": "photo",
        "label_column": "sort",
        "group_column": "patient",
        "metadata": ["site", "iso", "depth"],
        "labels": {"kitty": "disc"},
    }
    data = add(replace(drawn_dataset(), metadata=metadata), tmp_path / "new" / "t.csv", lake, own=own)
    assert [(name, label) for _, name, _, label in added(data)] == [("1.png", 1), ("2.png", 2), ("3.png", -1)]
    assert data.metadata["site"].to_list()[-4:] == ["z", "a", "b", None]
    assert data.metadata["iso"].to_list()[-4:] == [1.5, 100.0, None, None]
    assert data.metadata["depth"].to_list()[-4:] == [399, None, None, None]
    assert "Columns that the settings name are lacking" in told(data) and "patient" in told(data)


def test_a_folder_adds_to_a_table_with_groups_and_metadata_without_them(source: Path, lake: Lake) -> None:
    metadata = {name: pl.Series(["z"] * 400) for name in ("patient", "site")}
    own: dict[str, object] = {"source": source, "group_column": "patient", "metadata": ["site"]}
    data = add(replace(drawn_dataset(), metadata=metadata), source, lake, own)
    assert [name for _, name, *_ in added(data)] == ["a.png", "cam/b.png", "cam/c.png"]
    assert data.metadata["patient"].to_list()[-4:] == ["z", None, None, None]


def test_a_column_without_a_usual_name_is_of_labels_if_it_holds_classes(tmp_path: Path, lake: Lake) -> None:
    write(tmp_path / "new", "1.png", "2.png", "3.png", "4.png")
    head = {"file": [f"{i}.png" for i in range(1, 5)], "site": ["north", "north", "south", "south"]}
    file = tmp_path / "new" / "table.csv"
    pl.DataFrame(head).write_csv(file)
    assert [label for *_, label in added(add(drawn_dataset(), file, lake))] == [-1] * 4
    pl.DataFrame(head | {"what": ["bar", "bar", "disc", "disc"]}).write_csv(file)
    data = add(drawn_dataset(), file, lake)
    assert [label for *_, label in added(data)] == [0, 0, 1, 1] and "column 'what'" in told(data)


def test_rows_without_an_image_label_samples_and_others_are_refused(tmp_path: Path, lake: Lake) -> None:
    own = drawn_dataset()
    withheld = int(own.rows("unlabeled")[0])
    names = [own.source_name[withheld], "new.png", "nowhere.png"]
    rows = {"name": names, "image": [None, picture(1), None], "label": ["ring", "bar", "bar"]}
    pl.DataFrame(rows).write_parquet(tmp_path / "new.parquet")
    data = add(own, tmp_path / "new.parquet", lake)
    assert (data.split[withheld], data.label[withheld]) == ("test", 2)
    assert added(data) == [(400, "new.png", "test", 0)] and reasons(data) == {"nowhere.png": "image missing"}
    (tmp_path / "labels.csv").write_text(f"name,label\n{names[0]},ring\n")
    only = add(own, tmp_path / "labels.csv", lake)
    assert (only.split[withheld], only.label[withheld], len(only)) == ("test", 2, 400)


def test_a_table_without_rows_adds_nothing(tmp_path: Path, lake: Lake) -> None:
    (tmp_path / "new.csv").write_text("file,label\n")
    schema = {"name": pl.String, "image": pl.Binary, "label": pl.String}
    pl.DataFrame(schema=schema).write_parquet(tmp_path / "new.parquet")
    for name in ("new.csv", "new.parquet"):
        assert add(drawn_dataset(), tmp_path / name, lake).content() == drawn_dataset().content()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_a_folder_that_may_not_be_read_is_named(source: Path, lake: Lake) -> None:
    source.chmod(0)
    with pytest.raises(UserError, match="cannot be read"):
        add(drawn_dataset(), source, lake)
    source.chmod(0o700)


def test_an_archive_is_the_folder_that_it_holds(source: Path, lake: Lake, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "packed"), "zip", source)
    packed = add(drawn_dataset(), tmp_path / "packed.zip", lake)
    assert packed.content() == add(drawn_dataset(), source, lake).content()


@pytest.mark.parametrize("name", ["missing", "missing.parquet", "text.pdf", "broken.zip", "broken.parquet"])
def test_a_source_that_is_none_is_one_sentence_that_names_it(tmp_path: Path, lake: Lake, name: str) -> None:
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"PAR1 or so")
    with pytest.raises(UserError, match=re.escape(str(tmp_path / name)) if "broken" in name else "(?i)new data"):
        add(drawn_dataset(), tmp_path / name, lake)


# --- pixels


def test_an_image_that_is_a_sample_of_the_dataset_already_is_not_added_again(tmp_path: Path, lake: Lake) -> None:
    own = drawn_dataset()
    withheld, tested = int(own.rows("unlabeled")[0]), int(own.rows("test")[0])
    for i in (withheld, tested):
        path = tmp_path / "new" / f"{own.source_name[i]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(Image.fromarray(own.images_NHWC[i])))
    (tmp_path / "new" / "labels.csv").write_text(f"name,label\n{own.source_name[withheld]},ring\n")
    keep(lake, own)
    data = add(own, tmp_path / "new", lake)
    assert len(data) == 400 and len(set(data.sample_id.tolist())) == 400
    assert (data.split[withheld], data.label[withheld]) == ("test", 2)
    assert "Samples of the dataset already, and not added again: 2," in told(data)


def test_deep_images_are_scaled_by_the_range_that_the_dataset_has(tmp_path: Path, lake: Lake) -> None:
    values = np.full((32, 32), 4095, np.uint16)
    (tmp_path / "new").mkdir()
    Image.fromarray(values).save(tmp_path / "new" / "1.png")
    first = add(drawn_dataset(), tmp_path / "new", lake)
    assert first.images_NHWC[400].min() == 255
    wide = [{"setting": "value_range", "value": '{"unsigned": [0, 65535]}', "sentence": "16 bits"}]
    dim = add(replace(drawn_dataset(), assumed=wide), tmp_path / "new", lake)
    assert dim.images_NHWC[400].max() == round(4095 / 257) and dim.assumed == wide
    assert [one["setting"] for one in first.assumed] == ["value_range"]


# --- change detection


def test_the_listing_survives_pipes_loops_and_links_to_nothing(source: Path) -> None:
    os.mkfifo(source / "pipe.jpg")
    (source / "gone.jpg").symlink_to(source / "nothing")
    (source / "again").symlink_to(source)
    listed = list_files(source)
    assert [str(source / "gone.jpg"), "unreadable"] in listed and len(listed) == 6


def test_the_listing_of_a_table_changes_with_the_images_that_it_names(tmp_path: Path) -> None:
    write(tmp_path / "new", "1.png")
    (tmp_path / "t.csv").write_text("file,label\nnew/1.png,disc\n")
    settings = tiny_settings(tmp_path, new_data=tmp_path / "t.csv", cache_dir=tmp_path / "cache")
    before = list_new_data(settings)
    (tmp_path / "new" / "1.png").write_bytes(picture(7) + b"longer")
    assert list_new_data(settings) != before == before


def test_the_listing_changes_when_a_file_comes_goes_or_changes(source: Path) -> None:
    seen = [list_files(source)]
    (source / "d.png").write_bytes(picture(9))
    seen.append(list_files(source))
    (source / "d.png").write_bytes(picture(9) + b"longer")
    seen.append(list_files(source))
    (source / "d.png").unlink()
    assert list_files(source) == seen[0]
    assert seen[0] != seen[1] != seen[2]


def test_content_tells_labels_pixels_and_splits_apart() -> None:
    data = drawn_dataset()
    label = data.label.copy()
    label[0] += 1
    pixels = data.images_NHWC.copy()
    pixels[5, 0, 0, 0] ^= 1
    changed = [replace(data, label=label), replace(data, images_NHWC=pixels), replace(data, name="other")]
    assert [d.content() == data.content() for d in changed] == [False, False, True]
