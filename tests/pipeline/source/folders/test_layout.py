"""Folders of images as people have them: what names the class, what the split, and what is asked."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lake.errors import UserError
from pipeline.source.listing import Listing
from tests.support.data.folder_trees import cross, listed, said, write


def answers(listing: Listing) -> list[tuple[str, Any]]:
    return [(doubt.setting, doubt.suggestion) for doubt in listing.notes.doubts]


# --- splits


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        ("train val test", "train validation test"),
        ("Training Testing", "train test"),
        ("seg_train seg_test", "train test"),
        ("training_set val_set test_set", "train validation test"),
        ("train_images test_images", "train test"),
        ("train holdout", "train test"),
        ("train2017 val2017", "train validation"),
        ("Training PublicTest PrivateTest", "train validation test"),
    ],
)
def test_splits_are_recognised_by_the_names_that_people_give_them(tmp_path: Path, names: str, splits: str) -> None:
    split_of = dict(zip(names.split(), splits.split(), strict=True))
    above = listed(write(tmp_path / "above", cross(names, "cat dog")))
    below = listed(write(tmp_path / "below", cross("cat dog", names)))
    nested = listed(write(tmp_path / "nested", cross("photos", "data", names, "cat dog")))
    for name, split in split_of.items():
        for label in ("cat", "dog"):
            assert said(above)[f"{name}/{label}"] == (split, label)
            assert said(below)[f"{label}/{name}"] == (split, label)
            assert said(nested)[f"photos/data/{name}/{label}"] == (split, label)
    assert not [*above.notes.doubts, *below.notes.doubts, *nested.notes.doubts]


def test_folders_that_repeat_their_split_name_no_class_and_a_split_without_classes_is_unlabeled(tmp_path: Path) -> None:
    root = write(tmp_path, [f"seg_{name}/seg_{name}/{label}" for name in ("train", "test") for label in ("sea", "ice")])
    listing = listed(write(root, ["seg_pred/seg_pred"]))
    assert said(listing) == {
        "seg_pred/seg_pred": ("unlabeled", None),
        "seg_test/seg_test/ice": ("test", "ice"),
        "seg_test/seg_test/sea": ("test", "sea"),
        "seg_train/seg_train/ice": ("train", "ice"),
        "seg_train/seg_train/sea": ("train", "sea"),
    }
    assert listing.notes.remarks == [
        "Splits by the names of folders: seg_pred is unlabeled, seg_test is test, seg_train is train."
    ]
    assert not listing.notes.doubts


def test_training_images_split_once_more_keep_the_inner_split(tmp_path: Path) -> None:
    listing = listed(write(tmp_path, [*cross("train_data", "train val", "cat dog"), *cross("test_data", "cat dog")]))
    assert said(listing)["train_data/train/cat"] == ("train", "cat")
    assert said(listing)["train_data/val/dog"] == ("validation", "dog")
    assert said(listing)["test_data/dog"] == ("test", "dog")


@pytest.mark.parametrize(
    "classes",
    [
        "bus car train",
        "bus train",
        "valid invalid",
        "test_positive test_negative",
        "fit unfit tired",
        "train_track road",
    ],
)
def test_classes_that_are_called_as_splits_stay_classes(tmp_path: Path, classes: str) -> None:
    for root, below in ((tmp_path / "flat", ""), (tmp_path / "sessions", "session1 session2")):
        listing = listed(write(root, cross(classes, below) if below else classes.split()))
        assert {image.label for image in listing.images} == set(classes.split())
        assert {image.split for image in listing.images} == {None}
        assert not listing.notes.doubts


def test_a_class_called_train_inside_splits_stays_a_class(tmp_path: Path) -> None:
    listing = listed(write(tmp_path, cross("train test", "bus car train")))
    assert said(listing)["test/train"] == ("test", "train") and said(listing)["train/train"] == ("train", "train")
    assert said(listing)["train/bus"] == ("train", "bus") and not listing.notes.doubts


def test_a_folder_named_as_a_split_in_one_class_of_many_is_no_split(tmp_path: Path) -> None:
    listing = listed(write(tmp_path, ["cat", "dog", "owl", "fox", "cat/test"]))
    assert said(listing)["cat/test"] == (None, "cat")


def test_the_only_split_that_is_named_is_taken(tmp_path: Path) -> None:
    listing = listed(write(tmp_path, cross("train", "cat dog")))
    assert said(listing) == {"train/cat": ("train", "cat"), "train/dog": ("train", "dog")}


def test_splits_without_classes_give_no_labels(tmp_path: Path) -> None:
    assert said(listed(write(tmp_path, ["train", "test"]))) == {"train": ("train", None), "test": ("test", None)}


def test_a_test_split_beside_the_classes_that_it_holds_is_a_split(tmp_path: Path) -> None:
    listing = listed(write(tmp_path, ["cat", "dog", "test/cat", "test/dog"]))
    assert said(listing) == {
        "cat": (None, "cat"),
        "dog": (None, "dog"),
        "test/cat": ("test", "cat"),
        "test/dog": ("test", "dog"),
    }


def test_a_folder_called_test_beside_classes_is_asked_about(tmp_path: Path) -> None:
    root = write(tmp_path / "beside", ["cat", "dog", "test"])
    listing = listed(root)
    assert answers(listing) == [("splits", {"test": "test"})]
    assert listing.notes.doubts[0].sentence == (
        "It is unclear whether test (4 images) is a split, as its name says, or a class, as the folders beside it: "
        "for a class, set class_level = 1."
    )
    assert not listed(
        write(tmp_path / "inside", ["cat/day1", "cat/test", "dog/day2", "dog/day3", "owl/day4"])
    ).notes.doubts
    split, klass = listed(root, splits={"test": "test"}), listed(root, class_level=1)
    assert said(listing) == said(split) == {"cat": (None, "cat"), "dog": (None, "dog"), "test": ("test", None)}
    assert said(klass)["test"] == (None, "test")
    assert not split.notes.doubts and not klass.notes.doubts


def test_a_folder_beside_splits_with_the_same_classes_is_asked_about(tmp_path: Path) -> None:
    root = write(tmp_path, cross("train test extra", "cat dog"))
    listing = listed(root)
    assert answers(listing) == [("splits", {"extra": "train"})]
    assert listing.notes.doubts[0].sentence == (
        "The folders test and train are splits, but it is unclear which one is extra (8 images)."
    )
    assert said(listing)["extra/dog"] == ("train", "dog")
    answered = listed(root, splits={"extra": "validation"})
    assert said(answered)["extra/dog"] == ("validation", "dog") and not answered.notes.doubts
    assert said(answered)["test/dog"] == ("test", "dog")


def test_a_folder_beside_splits_with_other_content_is_suggested_as_unlabeled(tmp_path: Path) -> None:
    listing = listed(write(tmp_path, [*cross("train test", "cat dog"), "figures"]), splits={"test": "validation"})
    assert answers(listing) == [("splits", {"test": "validation", "figures": "unlabeled"})]
    assert said(listing)["figures"] == ("unlabeled", None)


def test_one_known_split_and_a_folder_with_the_same_classes_are_asked_about(tmp_path: Path) -> None:
    assert answers(listed(write(tmp_path / "a", cross("train extra", "cat dog")))) == [("splits", {"extra": "train"})]
    assert answers(listed(write(tmp_path / "b", cross("train eval", "cat dog")))) == [("splits", {"eval": "test"})]
    assert answers(listed(write(tmp_path / "c", cross("images test", "cat dog")))) == [("splits", {"images": "train"})]


def test_the_settings_say_which_folders_are_splits(tmp_path: Path) -> None:
    root = write(tmp_path, cross("2023 2024", "cat dog"))
    listing = listed(root, splits={"2023": "train", "2024": "test"})
    assert said(listing)["2024/cat"] == ("test", "cat") and not listing.notes.doubts


def test_a_split_of_the_settings_beside_classes_makes_no_splits_of_these(tmp_path: Path) -> None:
    listing = listed(write(tmp_path, ["cat", "dog", "new/cat", "new/dog"]), splits={"new": "test"})
    assert said(listing)["new/dog"] == ("test", "dog") and said(listing)["cat"] == (None, "cat")
    assert not listing.notes.doubts


def test_images_outside_the_folders_of_classes_have_no_label(tmp_path: Path) -> None:
    root = write(tmp_path, [*cross("train test", "cat dog"), "", "test"])
    write(root, ["unlabeled", "unlabeled/cat"])
    found = said(listed(root))
    assert found[""] == (None, None) and found["test"] == ("test", None) and found["test/cat"] == ("test", "cat")
    assert found["unlabeled"] == found["unlabeled/cat"] == ("unlabeled", None)


def test_images_in_a_folder_called_unlabeled_beside_classes_have_no_label(tmp_path: Path) -> None:
    listing = listed(write(tmp_path, ["cat", "dog", "unlabelled_new", "unknown"]))
    assert said(listing)["unlabelled_new"] == ("unlabeled", None) and said(listing)["unknown"] == (None, "unknown")
    assert listing.notes.remarks == ["Images in unlabelled_new have no label."]


# --- classes


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        (["AnnualCrop", "Forest", "River"], {"AnnualCrop", "Forest", "River"}),
        (cross("2750", "AnnualCrop Forest"), {"AnnualCrop", "Forest"}),
        (cross("food-101", "images", "apple_pie waffles"), {"apple_pie", "waffles"}),
        (cross("256_ObjectCategories", "001.ak47 002.american-flag"), {"001.ak47", "002.american-flag"}),
        (cross("mnist_png", "training testing", "0 1 2"), {"0", "1", "2"}),
        (cross("ILSVRC", "Data", "CLS-LOC", "train", "n01440764 n01443537"), {"n01440764", "n01443537"}),
        (cross("dataset", "Training Testing", "glioma pituitary"), {"glioma", "pituitary"}),
        (cross("train test", "animals", "cat dog"), {"cat", "dog"}),
        (["cat/cat", "dog/dog"], {"cat", "dog"}),
        (["cat/images", "dog/images"], {"cat", "dog"}),
        (["cat/full", "dog/full"], {"cat", "dog"}),
        (["photos", "drawings", "paintings"], {"photos", "drawings", "paintings"}),
        (["cat"], {"cat"}),
        (cross("cat", "session1 session2 session3"), {"cat"}),
        (["images"], {None}),
        ([""], {None}),
    ],
)
def test_the_level_of_the_classes_is_found_without_a_question(
    tmp_path: Path, folders: list[str], labels: set[str | None]
) -> None:
    listing = listed(write(tmp_path, folders))
    assert {image.label for image in listing.images} == labels and not listing.notes.doubts


@pytest.mark.parametrize(
    "inside",
    [
        ["session1", "session2"],
        ["2023-01-05", "2023-02-11"],
        ["2023", "2024"],
        ["IMG_0412", "IMG_0413"],
        ["front", "rear"],
        ["3fa94c01d2", "b07e11a9c4"],
        ["jpg", "png"],
    ],
)
def test_folders_inside_classes_that_number_or_date_images_are_no_classes(tmp_path: Path, inside: list[str]) -> None:
    listing = listed(write(tmp_path, [f"{label}/{name}" for label in ("cat", "dog", "train") for name in inside]))
    assert Counter(image.label for image in listing.images) == {"cat": 8, "dog": 8, "train": 8}
    assert not listing.notes.doubts
    assert any("name no class" in remark for remark in listing.notes.remarks)


def test_folders_of_one_burst_each_are_no_classes(tmp_path: Path) -> None:
    folders = ["cat/mimi at home", "cat/tom in the garden", "dog/rex with a ball", "dog/bello asleep"]
    listing = listed(write(tmp_path, folders, each=2))
    assert {image.label for image in listing.images} == {"cat", "dog"} and not listing.notes.doubts


@pytest.mark.parametrize(
    ("upper", "lower", "level"),
    [
        ("indoor outdoor", "cat dog", 2),
        ("printed written", "0 1 2 3", 1),
    ],
)
def test_two_levels_that_may_both_be_the_class_are_asked_about(
    tmp_path: Path, upper: str, lower: str, level: int
) -> None:
    root = write(tmp_path, cross(upper, lower))
    listing = listed(root)
    assert answers(listing) == [("class_level", level)]
    assert {image.label for image in listing.images} == set((upper, lower)[level - 1].split())
    for number, names in ((1, upper), (2, lower)):
        answered = listed(root, class_level=number)
        assert {image.label for image in answered.images} == set(names.split()) and not answered.notes.doubts


@pytest.mark.parametrize(
    ("upper", "lower"),
    [
        ("2023 2024", "cat dog"),
        ("2023-01-05 2023-02-11", "open closed"),
        ("camera1 camera2", "cat dog"),
        ("s01 s02 s03", "walking sitting"),
    ],
)
def test_classes_inside_each_date_camera_or_person_are_taken_and_said(tmp_path: Path, upper: str, lower: str) -> None:
    listing = listed(write(tmp_path, cross(upper, lower)))
    assert {image.label for image in listing.images} == set(lower.split()) and not listing.notes.doubts
    assert any("around those of the classes name no class" in remark for remark in listing.notes.remarks)


def test_folders_that_number_parts_of_the_images_are_no_classes(tmp_path: Path) -> None:
    parts = listed(write(tmp_path / "parts", ["HAM_images_part_1", "HAM_images_part_2"]))
    assert {image.label for image in parts.images} == {None}
    assert parts.notes.remarks == [
        "Folders that only number parts of the images name no class: HAM_images_part_1 and HAM_images_part_2."
    ]
    folds = listed(write(tmp_path / "folds", cross("fold1 fold2", "cat dog")))
    assert {image.label for image in folds.images} == {"cat", "dog"} and not folds.notes.doubts
    people = listed(write(tmp_path / "people", ["s01", "s02"]))
    assert {image.label for image in people.images} == {"s01", "s02"}


def test_classes_in_groups_are_asked_about_with_the_finer_level_suggested(tmp_path: Path) -> None:
    folders = ["animal/cat", "animal/dog", "vehicle/car", "vehicle/truck"]
    listing = listed(write(tmp_path / "flat", folders))
    assert answers(listing) == [("class_level", 2)]
    assert listing.notes.doubts[0].sentence == (
        "It is unclear which level of folders names the class: the 2 folders animal and vehicle hold different folders "
        "(car, cat, dog and truck)."
    )
    split = listed(
        write(tmp_path / "split", [f"data/{split}/{name}" for split in ("train", "test") for name in folders])
    )
    assert answers(split) == [("class_level", 4)]
    assert said(split)["data/test/vehicle/car"] == ("test", "car")
    assert said(listed(tmp_path / "split", class_level=3))["data/test/vehicle/car"] == ("test", "vehicle")


def test_levels_of_a_single_name_do_not_hide_the_levels_below(tmp_path: Path) -> None:
    folders = [
        "benign/SOB/adenosis/a",
        "benign/SOB/fibroadenoma/b",
        "malignant/SOB/ductal/c",
        "malignant/SOB/lobular/d",
    ]
    listing = listed(write(tmp_path, folders))
    assert answers(listing) == [("class_level", 3)]
    assert {image.label for image in listing.images} == {"adenosis", "fibroadenoma", "ductal", "lobular"}


def test_a_question_about_three_levels_is_asked_once(tmp_path: Path) -> None:
    assert answers(listed(write(tmp_path, cross("indoor outdoor", "day night", "cat dog")))) == [("class_level", 3)]


def test_images_directly_in_the_upper_folders_make_these_the_classes(tmp_path: Path) -> None:
    listing = listed(write(tmp_path, ["cat", "dog", "cat/siamese", "cat/persian", "dog/beagle", "dog/pug"]))
    assert {image.label for image in listing.images} == {"cat", "dog"} and not listing.notes.doubts


def test_class_level_0_gives_no_labels_but_splits(tmp_path: Path) -> None:
    listing = listed(write(tmp_path, cross("train test", "cat dog")), class_level=0)
    assert set(said(listing).values()) == {("train", None), ("test", None)}


def test_class_level_makes_classes_of_folders_that_are_called_as_splits(tmp_path: Path) -> None:
    listing = listed(write(tmp_path, ["train", "test"]), class_level=1)
    assert said(listing) == {"train": (None, "train"), "test": (None, "test")}


def test_a_class_level_below_all_folders_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^class_level = 3 in \[dataset\], but .* are at most 2 deep: choose 0 to 2\.$"
    ):
        listed(write(tmp_path, cross("train test", "cat dog")), class_level=3)


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder that exists: check source"):
        listed(tmp_path / "gone")


def test_images_are_in_the_order_of_their_paths_whatever_the_order_on_disk(tmp_path: Path) -> None:
    write(tmp_path, ["b", "a", "", "a/z"], each=2)
    names = [image.name for image in listed(tmp_path).images]
    assert names == ["0.jpg", "1.jpg", "a/0.jpg", "a/1.jpg", "a/z/0.jpg", "a/z/1.jpg", "b/0.jpg", "b/1.jpg"]


def test_names_that_are_not_utf8_are_written_readably(tmp_path: Path) -> None:
    for label in (b"caf\xe9", b"bar"):
        folder = Path(tmp_path / label.decode("utf-8", "surrogateescape"))
        write(folder, [""], each=1)
    assert said(listed(tmp_path)) == {"bar": (None, "bar"), "caf\\xe9": (None, "caf\\xe9")}
    assert all(isinstance(image.image, Path) and image.image.is_file() for image in listed(tmp_path).images)
