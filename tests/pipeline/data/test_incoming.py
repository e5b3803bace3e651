"""New images get a number that they keep for ever, labels arrive later, and what cannot be read is named."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from lake.errors import UserError
from lake.storage.store import Lake
from pipeline.data.dataset import Dataset
from pipeline.data.incoming import add_new_data, list_files
from pipeline.engine.progress import Progress
from tests.support.data.drawn import CLASSES, drawn_dataset
from tests.support.data.pictures import picture
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
    data = add_new_data(drawn_dataset(), source, lake, QUIET)
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
    data = add_new_data(drawn_dataset(), source, lake, QUIET)
    assert {number: (one.width, one.height) for number, one in data.originals.items()} == {402: (50, 50)}
    with Image.open(io.BytesIO(data.originals[402].picture)) as image, Image.open(source / "cam" / "c.png") as stored:
        assert np.array_equal(np.asarray(image), np.asarray(stored))
    assert add_new_data(drawn_dataset(), source, lake, QUIET, display_side=0).originals == {}
    keep(lake, data)
    assert add_new_data(drawn_dataset(), source, lake, QUIET).originals == {}


def test_a_sample_keeps_its_number_and_no_number_is_given_twice(source: Path, lake: Lake) -> None:
    keep(lake, add_new_data(drawn_dataset(), source, lake, QUIET))
    (source / "0.png").write_bytes(picture(7))
    (source / "cam" / "c.png").unlink()
    (source / "a.png").write_bytes(picture(8))  # other pixels: another sample
    second = add_new_data(drawn_dataset(), source, lake, QUIET)
    assert [(number, name) for number, name, *_ in added(second)] == [
        (401, "cam/b.png"),
        (403, "0.png"),
        (404, "a.png"),
    ]
    keep(lake, second)
    (source / "a.png").write_bytes(picture(1))
    (source / "0.png").unlink()
    third = added(add_new_data(drawn_dataset(), source, lake, QUIET))
    assert [(number, name) for number, name, *_ in third] == [(401, "cam/b.png"), (405, "a.png")]


def test_a_label_that_arrives_updates_the_sample_and_keeps_its_number(source: Path, lake: Lake) -> None:
    keep(lake, add_new_data(drawn_dataset(), source, lake, QUIET))
    own = drawn_dataset()
    withheld = int(own.rows("unlabeled")[0])
    labels = f"name,label\ncam/b.png,disc\na.png,ring\n{own.source_name[withheld]},square\n"
    (source / "labels.csv").write_text(labels)
    data = add_new_data(own, source, lake, QUIET)
    assert added(data)[0] == (400, "a.png", "test", CLASSES.index("ring"))
    assert (data.split[withheld], data.label[withheld]) == ("test", CLASSES.index("square"))
    assert data.content("train") == own.content("train")


def test_a_label_does_not_change_one_that_was_known(source: Path, lake: Lake) -> None:
    own = drawn_dataset()
    tested = int(own.rows("test")[0])
    other = CLASSES[(own.label[tested] + 1) % 4]
    (source / "labels.csv").write_text(f"name,label\n{own.source_name[tested]},{other}\n")
    assert add_new_data(own, source, lake, QUIET).label[tested] == own.label[tested]


def test_a_parquet_file_is_a_folder_in_one_file(source: Path, lake: Lake, tmp_path: Path) -> None:
    names = ["a.png", "cam/b.png", "cam/c.png"]
    rows = {"name": names, "image": [(source / name).read_bytes() for name in names], "label": [None, "disc", None]}
    pl.DataFrame(rows).write_parquet(tmp_path / "new.parquet")
    assert add_new_data(drawn_dataset(), tmp_path / "new.parquet", lake, QUIET).content() == (
        add_new_data(drawn_dataset(), source, lake, QUIET).content()
    )


def test_an_empty_folder_changes_nothing(tmp_path: Path, lake: Lake) -> None:
    (tmp_path / "new").mkdir()
    assert add_new_data(drawn_dataset(), tmp_path / "new", lake, QUIET).content() == drawn_dataset().content()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("bad.png", b"no image", r"The new image bad\.png cannot be read"),
        ("labels.csv", b"name,label\na.png,unicorn\n", r"a\.png has the label 'unicorn', which is not one of"),
        ("labels.csv", b"file,class\n", r"labels\.csv cannot be read .* needs the columns name, label"),
        ("labels.csv", b"", r"labels\.csv cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named(source: Path, lake: Lake, name: str, data: bytes, message: str) -> None:
    (source / name).write_bytes(data)
    with pytest.raises(UserError, match=message):
        add_new_data(drawn_dataset(), source, lake, QUIET)


@pytest.mark.parametrize("name", ["missing", "text.txt", "missing.parquet"])
def test_a_source_that_is_none_is_named(tmp_path: Path, lake: Lake, name: str) -> None:
    (tmp_path / "text.txt").write_text("")
    with pytest.raises(UserError, match="neither a folder nor a parquet file"):
        add_new_data(drawn_dataset(), tmp_path / name, lake, QUIET)


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
