"""Which files of a folder are images, which belong to them, and which lists name their labels."""

import os
import shutil
from pathlib import Path

import pytest

from pipeline.source.folders import list_paths
from tests.support.data.folder_trees import cross, listed, said, write


def touch(root: Path, *names: str, text: str = "not opened") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def names(root: Path) -> list[str]:
    return [image.name for image in listed(root).images]


def asides(root: Path) -> dict[str, tuple[int, str]]:
    return {aside.kind: (aside.count, aside.example) for aside in listed(root).notes.asides}


# --- files


def test_hidden_and_system_files_are_skipped(tmp_path: Path) -> None:
    touch(
        tmp_path, "cat/1.jpg", "cat/._1.jpg", ".cache/2.jpg", "__MACOSX/cat/1.jpg", "cat/Thumbs.db", "cat/desktop.ini"
    )
    touch(tmp_path, "@eaDir/cat/1.jpg", "$RECYCLE.BIN/1.jpg", "System Volume Information/1.jpg", "lost+found/1.jpg")
    assert names(tmp_path) == ["cat/1.jpg"] and not listed(tmp_path).notes.asides


def test_files_that_are_no_images_are_counted_by_kind(tmp_path: Path) -> None:
    touch(
        tmp_path, "cat/1.jpg", "cat/1.json", "cat/1.xml", "README.md", "LICENSE", "all.zip", "cat/clip.MP4", "net.pth"
    )
    assert names(tmp_path) == ["cat/1.jpg"]
    assert asides(tmp_path) == {
        "texts and annotations": (2, "cat/1.json"),
        "documents": (2, "LICENSE"),
        "archives": (1, "all.zip"),
        "model files": (1, "net.pth"),
        "videos": (1, "cat/clip.MP4"),
    }
    assert not listed(tmp_path).refused


def test_what_may_be_an_image_is_tried_whatever_it_is_called(tmp_path: Path) -> None:
    touch(tmp_path, *(f"cat/{name}" for name in ("IMG_2.HEIC", "scan.tif", "no_suffix", "b.dcm", "c.JPEG", "v1.2")))
    assert len(names(tmp_path)) == 6 and not asides(tmp_path)


def test_raw_photos_are_images_unless_a_picture_of_the_same_name_is_there(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.CR2", "cat/1.JPG", "cat/2.CR2")
    assert names(tmp_path) == ["cat/1.JPG", "cat/2.CR2"]


def test_what_cannot_be_entered_is_refused_and_never_opened(tmp_path: Path) -> None:
    touch(tmp_path / "data", "cat/1.jpg")
    (tmp_path / "data" / "cat" / "2.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "data" / "dog").symlink_to(tmp_path / "data" / "cat")
    (tmp_path / "data" / "up").symlink_to(tmp_path)
    (tmp_path / "data" / "x.jpg").mkdir()
    os.mkfifo(tmp_path / "data" / "cat" / "pipe.txt")
    os.mkfifo(tmp_path / "data" / "cat" / "pipe.jpg")
    listing = listed(tmp_path / "data")
    assert [(name, why.reason) for name, why in listing.refused] == [
        ("dog", "symbolic link loop"),
        ("up", "symbolic link loop"),
        ("x.jpg", "not a file"),
    ]
    assert names(tmp_path / "data") == ["cat/1.jpg", "cat/2.jpg", "cat/pipe.jpg"]


def test_a_link_to_a_folder_elsewhere_is_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "1.jpg")
    touch(tmp_path / "data", "dog/1.jpg")
    for name in ("ant", "cat"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path / "data") == ["ant/1.jpg", "dog/1.jpg"]
    assert [name for name, _ in listed(tmp_path / "data").refused] == ["cat"]


# --- masks and copies


@pytest.mark.parametrize("mask", ["1_mask.png", "1_seg.png", "1-label.png", "1_mask_1.png", "1.mask.tif"])
def test_masks_beside_their_images_are_set_aside(tmp_path: Path, mask: str) -> None:
    touch(tmp_path, "cat/1.jpg", f"cat/{mask}", "dog/1.jpg")
    assert names(tmp_path) == ["cat/1.jpg", "dog/1.jpg"]
    assert asides(tmp_path) == {"segmentation masks": (1, f"cat/{mask}")}


def test_pictures_of_masks_are_no_masks(tmp_path: Path) -> None:
    touch(tmp_path, "with_mask/1_mask.png", "with_mask/2.jpg", "without_mask/1.png", "with_mask/2_mask.jpg")
    assert len(names(tmp_path)) == 4 and not asides(tmp_path)
    assert {image.label for image in listed(tmp_path).images} == {"with_mask", "without_mask"}


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("covid/images", "covid/masks"),
        ("covid/images", "covid/lung masks"),
        ("covid", "covid/masks"),
        ("images/covid", "masks/covid"),
        ("JPEGImages/covid", "SegmentationClass/covid"),
        ("train/covid", "train_masks/covid"),
        ("images/train/covid", "annotations/train/covid"),
    ],
)
def test_folders_of_masks_parallel_to_the_images_are_set_aside(tmp_path: Path, images: str, masks: str) -> None:
    write(tmp_path, [images, images.replace("covid", "normal")])
    write(tmp_path, [masks, masks.replace("covid", "normal")], suffix=".png")
    assert asides(tmp_path)["segmentation masks"][0] == 8
    assert {image.label for image in listed(tmp_path).images} == {"covid", "normal"}
    assert not listed(tmp_path).notes.doubts


def test_ground_truth_of_a_test_split_is_set_aside(tmp_path: Path) -> None:
    touch(tmp_path, "train/good/0.png", "test/good/0.png", "test/broken/0.png", "ground_truth/broken/0_mask.png")
    assert said(listed(tmp_path)) == {
        "test/broken": ("test", "broken"),
        "test/good": ("test", "good"),
        "train/good": ("train", "good"),
    }


def test_a_class_called_masks_whose_files_are_numbered_as_those_of_the_others_is_a_class(tmp_path: Path) -> None:
    write(tmp_path, ["hats", "masks", "scarves", "7"])
    assert {image.label for image in listed(tmp_path).images} == {"hats", "masks", "scarves", "7"}


def test_folders_called_masks_or_labels_without_counterparts_hold_images(tmp_path: Path) -> None:
    touch(tmp_path, "hats/1.jpg", "masks/2.jpg", "labels/3.jpg")
    assert said(listed(tmp_path)) == {"hats": (None, "hats"), "labels": (None, "labels"), "masks": (None, "masks")}


def test_a_copy_of_the_whole_inside_it_is_set_aside(tmp_path: Path) -> None:
    root = write(tmp_path / "chest", cross("train val test", "NORMAL PNEUMONIA"))
    shutil.copytree(root, tmp_path / "copy")
    copy = (tmp_path / "copy").rename(root / "chest_xray")
    assert len(names(root)) == 24 and not listed(root).notes.doubts
    assert asides(root) == {"copies of images in a folder inside": (24, "chest_xray/test/NORMAL/0.jpg")}
    (copy / "test" / "NORMAL" / "0.jpg").write_text("another image")
    assert len(names(root)) == 48
    assert [doubt.setting for doubt in listed(root).notes.doubts] == ["splits"]


def test_images_of_the_same_names_and_sizes_are_no_copies(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        touch(tmp_path, f"{label}/1.bmp", text=f"{label} A")
        touch(tmp_path, f"more/{label}/1.bmp", text=f"{label} B")
    assert len(names(tmp_path)) == 4


def test_a_test_split_of_the_same_file_names_is_no_copy(tmp_path: Path) -> None:
    assert len(names(write(tmp_path, ["cat", "dog", "test/cat", "test/dog"]))) == 16


# --- lists of labels

ROWS = [("v0.JPEG", "n01629819"), ("v1.JPEG", "n01443537"), ("v2.JPEG", "n01629819"), ("v3.JPEG", "n01443537")]


def tiny(root: Path) -> Path:
    write(root, cross("train", "n01443537 n01629819", "images"), suffix=".JPEG")
    touch(root, "train/n01443537/n01443537_boxes.txt", text="0.JPEG\t0\t0\t31\t31\n")
    touch(root, "wnids.txt", text="n01443537\nn01629819\n")
    touch(root, *(f"val/images/{name}" for name, _ in ROWS))
    return write(root, ["test/images"], suffix=".JPEG")


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("val/val_annotations.txt", "{}\t{}\t0\t0\t31\t31"),
        ("val/labels.csv", "{},{}"),
        ("val/images/labels.csv", '"{}";"{}"'),
        ("val_list.txt", "val/images/{} {}"),
        ("val_solution.csv", "{},{} 85 1 499 272"),
    ],
)
def test_labels_of_a_split_without_class_folders_are_read_from_a_list_of_its_files(
    tmp_path: Path, file: str, pattern: str
) -> None:
    root = touch(tiny(tmp_path), file, text="\n".join(["ImageId,Label", *(pattern.format(*row) for row in ROWS)]))
    listing = listed(root)
    found = {image.name: (image.split, image.label) for image in listing.images}
    assert [found[f"val/images/{name}"] for name, _ in ROWS] == [("validation", label) for _, label in ROWS]
    assert found["test/images/0.JPEG"] == ("test", None)
    assert found["train/n01443537/images/0.JPEG"] == ("train", "n01443537")
    assert any(remark.startswith(f"{file} names the classes of 4 of the 4 images") for remark in listing.notes.remarks)
    assert root / file in list_paths(root) and not listing.notes.doubts


@pytest.mark.parametrize(
    "rows",
    [
        [*ROWS[:3], ("v3.JPEG", "n99999999")],
        [*ROWS, ("v0.JPEG", "n01443537")],
        ROWS[:1],
        [(f"other{name}", label) for name, label in ROWS],
    ],
    ids=["a class that is unknown", "two classes of a file", "one of four files", "other files"],
)
def test_lists_that_do_not_name_classes_of_the_files_are_not_believed(
    tmp_path: Path, rows: list[tuple[str, str]]
) -> None:
    root = touch(tiny(tmp_path), "val/list.txt", text="\n".join("\t".join(row) for row in rows))
    assert said(listed(root))["val/images"] == ("validation", None)


def test_lists_of_names_that_occur_in_several_folders_are_not_believed_unless_they_name_the_folder(
    tmp_path: Path,
) -> None:
    root = write(tmp_path, [*cross("train", "cat dog"), "val", "test"])
    touch(root, "list.txt", text="".join(f"{number}.jpg cat\n" for number in range(4)))
    assert said(listed(root))["val"] == ("validation", None)
    touch(root, "list.txt", text="".join(f"/home/me/photos/val/{number}.jpg cat\n" for number in range(4)))
    assert said(listed(root))["val"] == ("validation", "cat") and said(listed(root))["test"] == ("test", None)


def test_lists_label_no_split_that_has_folders_of_classes(tmp_path: Path) -> None:
    root = touch(write(tmp_path, cross("train val", "cat dog")), "val/list.csv", text="0.jpg,cat\n1.jpg,dog\n")
    assert said(listed(root))["val/dog"] == ("validation", "dog")


def test_the_paths_to_watch_are_the_images_and_the_lists(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "cat/1.txt", "cat/2.txt", "cat/1_mask.png", "notes.txt", "README.md", "lists/all.csv")
    watched = {path.relative_to(tmp_path).as_posix() for path in list_paths(tmp_path)}
    assert watched == {"cat/1.jpg", "cat/2.txt", "notes.txt"}
