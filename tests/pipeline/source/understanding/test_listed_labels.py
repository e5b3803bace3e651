"""Labels of a folder without folders of classes, from the tables among its images."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.dataset import DatasetSettings
from pipeline.source.listing import Listing
from pipeline.source.understanding.read import read_source
from tests.support.data.folder_trees import cross, write

HINT = "No folder names a class: if {} lists the labels, make it the source."


def read(source: Path, **own: Any) -> Listing:
    return read_source(DatasetSettings(source=source, **own), source.parent / "cache", lambda _: None)


def put(root: Path, name: str, lines: Iterable[str]) -> Path:
    (root / name).write_text("\n".join(lines))
    return root


def label_of(listing: Listing) -> dict[str, str | None]:
    return {image.name: image.label for image in listing.images}


def rows(names: Iterable[str]) -> list[str]:
    return [f"{name},{'cat' if number % 2 else 'dog'}" for number, name in enumerate(names)]


@pytest.mark.parametrize("head", [["file,label"], ["file,species"], []])
def test_a_list_beside_images_labels_them_also_in_an_archive(tmp_path: Path, head: list[str]) -> None:
    root = write(tmp_path / "photos", ["images"], each=6)
    put(root, "list.csv", [*head, *rows(f"{number}.jpg" for number in range(6))])
    for source in (root, Path(shutil.make_archive(str(tmp_path / "packed"), "zip", root))):
        listing = read(source)
        assert label_of(listing) == {f"images/{i}.jpg": "cat" if i % 2 else "dog" for i in range(6)}
        assert listing.notes.remarks[0] == "list.csv names the labels of 6 of the 6 images."
        assert not listing.notes.doubts and not listing.notes.asides
    put(root, "about.txt", ["Drawn by hand."])
    assert read(root).notes.tell_asides() == "texts and annotations: 1, such as about.txt"
    put(root, "zoom.txt", ["4"])
    (root / "about.txt").unlink()
    assert read(root).notes.tell_asides() == "texts and annotations: 1, such as beside list.csv"


def test_a_table_labels_images_in_numbered_folders_and_its_columns_belong_to_them(tmp_path: Path) -> None:
    root = write(tmp_path / "skin", ["HAM_part_1", "HAM_part_2"], each=4)
    for number, path in enumerate(sorted(root.glob("*/*.jpg"))):
        path.rename(path.with_name(f"ISIC_{number:03d}.jpg"))
    put(
        root,
        "meta.csv",
        ["lesion_id,image_id,dx", *(f"L{i // 2},ISIC_{i:03d},{'mel' if i % 2 else 'nv'}" for i in range(7))],
    )
    listing = read(root)
    assert [image.label for image in listing.images] == ["nv", "mel"] * 3 + ["nv", None]
    assert [listing.table["lesion_id"][image.row] for image in listing.images] == [
        *"LLLLLL"[:0],
        "L0",
        "L0",
        "L1",
        "L1",
        "L2",
        "L2",
        "L3",
        None,
    ]


def test_the_folders_name_the_splits_of_what_a_table_labels(tmp_path: Path) -> None:
    root = write(tmp_path / "photos", ["train", "test"], each=4)
    put(root, "list.csv", ["path,label", *rows(f"{split}/{i}.jpg" for split in ("train", "test") for i in range(4))])
    assert {(image.split, image.label) for image in read(root).images} == {
        (split, label) for split in ("train", "test") for label in ("cat", "dog")
    }


def test_tables_of_splits_label_the_images_together(tmp_path: Path) -> None:
    root = write(tmp_path / "photos", ["images"], each=6)
    put(root, "train.csv", ["file,label", *rows(f"{number}.jpg" for number in range(4))])
    put(root, "test.csv", ["file,label", *rows(f"{number}.jpg" for number in (4, 5))])
    put(root, "sample_submission.csv", ["file,label", *rows(f"{number}.jpg" for number in (4, 5))])
    assert [(image.split, image.label) for image in read(root).images] == [
        *[("train", "dog"), ("train", "cat")] * 2,
        *[("test", "dog"), ("test", "cat")],
    ]


def test_several_tables_that_contradict_each_other_are_only_pointed_to(tmp_path: Path) -> None:
    root = write(tmp_path / "photos", ["images"], each=6)
    put(root, "a.csv", ["file,label", *rows(f"{number}.jpg" for number in range(6))])
    put(root, "b.csv", ["file,label", *rows(f"{number}.jpg" for number in reversed(range(6)))])
    listing = read(root)
    assert set(label_of(listing).values()) == {None}
    assert listing.notes.remarks[-1] == HINT.format("one of a.csv and b.csv")


def test_an_image_of_several_labels_in_a_table_has_none(tmp_path: Path) -> None:
    root = write(tmp_path / "photos", ["images"], each=6)
    put(root, "list.csv", ["file,label", *rows(f"{number}.jpg" for number in range(6)), "0.jpg,cat"])
    listing = read(root)
    assert [image.label for image in listing.images] == [None, "cat", "dog", "cat", "dog", "cat"]
    assert "Images of several labels in list.csv, which are left without one: 1." in listing.notes.remarks


def test_a_list_with_a_column_of_0_and_1_for_each_class_labels_them(tmp_path: Path) -> None:
    lines = ["file, ripe, unripe", *(f"{number}.jpg, {number % 2}, {1 - number % 2}" for number in range(6))]
    listing = read(put(write(tmp_path / "photos", ["images"], each=6), "_classes.csv", lines))
    assert label_of(listing) == {f"images/{i}.jpg": "ripe" if i % 2 else "unripe" for i in range(6)}


@pytest.mark.parametrize(
    "lines",
    [
        ["file,caption", *(f"{number}.jpg,a photo of {number}" for number in range(6))],
        [f"{number}.jpg,{number},1,1" for number in range(6)],
        ["file,label", "0.jpg,cat", "1.jpg,dog"],
        ["file, ripe, small", *(f"{number}.jpg, {number % 2}, 1" for number in range(6))],
        ["file,label", *(f"{number}.jpg,cat" for number in range(6))],
    ],
)
def test_a_table_of_something_else_or_of_few_images_labels_nothing(tmp_path: Path, lines: list[str]) -> None:
    root = put(write(tmp_path / "photos", ["images"], each=6), "list.csv", lines)
    listing = read(root)
    assert set(label_of(listing).values()) == {None}
    assert listing.notes.remarks == [HINT.format("list.csv")]


def test_folders_of_classes_count_more_than_a_table_and_so_does_class_level(tmp_path: Path) -> None:
    root = write(tmp_path / "photos", ["owl", "fox"], each=4)
    put(root, "list.csv", ["path,label", *rows(f"{folder}/{i}.jpg" for folder in ("owl", "fox") for i in range(4))])
    assert set(label_of(read(root)).values()) == {"owl", "fox"}
    root = write(tmp_path / "parts", cross("part_1 part_2"), each=4)
    put(
        root,
        "list.csv",
        ["path,label", *rows(f"{folder}/{i}.jpg" for folder in ("part_1", "part_2") for i in range(4))],
    )
    assert set(label_of(read(root)).values()) == {"cat", "dog"}
    assert set(label_of(read(root, class_level=1)).values()) == {"part_1", "part_2"}
    assert set(label_of(read(root, class_level=0)).values()) == {None}


def test_a_table_of_many_columns_labels_a_test_split_without_folders_of_classes(tmp_path: Path) -> None:
    root = write(tmp_path / "signs", [*cross("Train", "0 1"), "Test"], each=4)
    table = ["Width,Height,ClassId,Path", *(f"{16 + i // 2},20,{i % 2},Test/{i}.jpg" for i in range(4))]
    listing = read(put(root, "Test.csv", table))
    assert [image.label for image in listing.images if image.split == "test"] == ["0", "1", "0", "1"]
    assert "Test.csv names the classes of 4 of the 4 images of the split test." in listing.notes.remarks
    strange = read(put(root, "Test.csv", [line.replace(",20,1,", ",20,7,") for line in table]))
    assert {image.label for image in strange.images if image.split == "test"} == {None}


def test_the_settings_name_the_column_of_a_table_beside_the_images(tmp_path: Path) -> None:
    root = write(tmp_path / "photos", ["images"], each=6)
    put(
        root,
        "list.csv",
        ["file,label,place", *(f"{row},p{i // 3}" for i, row in enumerate(rows(f"{i}.jpg" for i in range(6))))],
    )
    assert set(label_of(read(root)).values()) == {"cat", "dog"}
    assert set(label_of(read(root, label_column="place")).values()) == {"p0", "p1"}
    assert set(label_of(read(root, label_column="gone")).values()) == {None}


def test_a_column_of_ids_names_the_images_whatever_it_is_called(tmp_path: Path) -> None:
    root = write(tmp_path / "photos", ["train_images"], each=4)
    for path in list(root.glob("*/*.jpg")):
        path.rename(path.with_name(f"a{path.name}"))
    put(root, "train.csv", ["nr,id_code,diagnosis", *(f"{i},a{i},{i % 2}" for i in range(4))])
    listing = read(root / "train.csv")
    assert label_of(listing) == {"a0": "0", "a1": "1", "a2": "0", "a3": "1"}
    assert "The images are the files that the column 'id_code' names." in listing.notes.remarks
