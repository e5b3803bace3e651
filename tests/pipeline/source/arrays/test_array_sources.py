"""Arrays of images become the same pixels and labels, or one sentence that says why they do not."""

import gzip
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lake.errors import UserError
from pipeline.pixels.decode import Unusable
from pipeline.source.arrays.array_sources import explain_other, is_idx, list_idx, list_npz, to_png
from pipeline.source.listing import ListedImage, Listing

RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 256, (6, 16, 16), dtype=np.uint8)
GREY[0, 0, 0] = 255
COLOUR = RNG.integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
COLOUR[0, 0, 0] = 255
LABELS = np.array([0, 2, 1, 10, 2, 0], np.uint8)


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def pixels(entry: ListedImage) -> NDArray[Any]:
    assert entry.image is not None and not isinstance(entry.image, bytes | Path)
    data = entry.image.read()
    assert isinstance(data, bytes)
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def all_pixels(listing: Listing) -> NDArray[Any]:
    return np.stack([pixels(entry) for entry in listing.images])


def labels(listing: Listing) -> list[str | None]:
    return [entry.label for entry in listing.images]


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as refused:
        list_npz(path)
    sentence = str(refused.value)
    assert path.name in sentence and "\n" not in sentence and sentence.endswith((".", "..."))
    return sentence


# --- layouts


@pytest.mark.parametrize("images", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("packed", [True, False])
def test_medmnist_keeps_its_pixels_integer_labels_and_splits(
    images: NDArray[np.uint8], packed: bool, tmp_path: Path
) -> None:
    arrays: dict[str, Any] = {
        f"{split}_{kind}": value[part]
        for split, part in (("train", slice(0, 3)), ("val", slice(3, 4)), ("test", slice(4, 6)))
        for kind, value in (("images", images), ("labels", LABELS[:, None]))
    }
    (np.savez_compressed if packed else np.savez)(tmp_path / "a.npz", **arrays)
    listing = list_npz(tmp_path / "a.npz")
    assert [entry.name for entry in listing.images] == [
        *("train/0", "train/1", "train/2", "validation/0", "test/0", "test/1")
    ]
    assert [entry.split for entry in listing.images] == ["train"] * 3 + ["validation"] + ["test"] * 2
    assert labels(listing) == ["0", "2", "1", "10", "2", "0"] and listing.class_names is None
    assert np.array_equal(all_pixels(listing), images) and not listing.refused
    assert listing.notes.remarks == ["a.npz has no names of classes: they are called by their numbers."]


@pytest.mark.parametrize(
    ("names", "split"),
    [
        ("x_train y_train", "train"),
        ("X_test Y_test", "test"),
        ("trainX trainY", "train"),
        ("val_x val_y", "validation"),
        ("train_data train_targets", "train"),
        ("images labels", None),
        ("X y", None),
        ("data target", None),
        ("image label", None),
        ("arr_0 arr_1", None),
    ],
)
def test_names_as_other_tools_write_them(names: str, split: str | None, tmp_path: Path) -> None:
    image_name, label_name = names.split()
    listing = list_npz(save(tmp_path / "a.npz", **{label_name: LABELS, image_name: COLOUR}))
    assert {entry.split for entry in listing.images} == {split}
    assert [entry.name for entry in listing.images] == [f"{split or 'row'}/{i}" for i in range(6)]
    assert labels(listing) == ["0", "2", "1", "10", "2", "0"] and np.array_equal(all_pixels(listing), COLOUR)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (COLOUR.transpose(0, 3, 1, 2), COLOUR),
        (np.asfortranarray(COLOUR), COLOUR),
        (GREY[:, None], GREY),
        (GREY[..., None], GREY),
        (GREY.reshape(6, 256), GREY),
        (GREY.reshape(6, 256) / 255, GREY),
        (COLOUR.astype(np.int64), COLOUR),
        ((COLOUR / 255).astype(np.float32), COLOUR),
        ((COLOUR / 255).astype(np.float16), COLOUR),
        (COLOUR.astype(np.float64), COLOUR),
        (GREY.astype(np.uint16), GREY),
        (GREY.astype(">i2"), GREY),
        (GREY.astype(np.uint16) * 16, GREY.astype(np.uint16) * 16),
        (GREY > 100, (GREY > 100) * np.uint8(255)),
        ((GREY > 100).astype(np.uint8), (GREY > 100) * np.uint8(255)),
    ],
)
def test_shapes_and_types_that_are_unmistakable_give_the_same_pixels(
    stored: NDArray[Any], shown: NDArray[Any], tmp_path: Path
) -> None:
    listing = list_npz(save(tmp_path / "a.npz", images=stored, labels=LABELS))
    assert np.array_equal(all_pixels(listing), shown)


def test_the_scale_is_judged_over_all_images_together(tmp_path: Path) -> None:
    dark = (GREY > 100).astype(np.float32) / 255
    listing = list_npz(save(tmp_path / "a.npz", x_train=GREY / 255, y_train=LABELS, x_test=dark, y_test=LABELS))
    assert all_pixels(listing)[6:].max() == 1
    binary = (GREY > 100).astype(np.uint8)
    listing = list_npz(save(tmp_path / "b.npz", x_train=binary, y_train=LABELS, x_test=GREY, y_test=LABELS))
    assert all_pixels(listing)[:6].max() == 1 and np.array_equal(all_pixels(listing)[6:], GREY)


def test_how_values_were_understood_is_said(tmp_path: Path) -> None:
    said = {
        "values from 0 to 1 are taken for black to white.": GREY / 255,
        "the highest of all images is 0.392, so they are dark": GREY.clip(0, 100) / 255,
        "is 15 of 255, so they are dark: if it means white, save them multiplied by 17": GREY // 17,
        "grey of 12 bits, up to 4,080": GREY.astype(np.uint16) * 16,
        "all values are 0 or 1": (GREY > 9).astype(np.int32),
    }
    for sentence, images in said.items():
        remarks = list_npz(save(tmp_path / "a.npz", images=images, labels=LABELS)).notes.remarks
        assert any(sentence in remark for remark in remarks), sentence
    assert len(list_npz(save(tmp_path / "a.npz", images=GREY, labels=LABELS)).notes.remarks) == 1


def test_an_image_that_is_not_finite_is_refused_alone(tmp_path: Path) -> None:
    images = GREY / 255
    images[2, 3, 4] = np.nan
    entries = list_npz(save(tmp_path / "a.npz", images=images, labels=LABELS)).images
    assert entries[2].image.read() == Unusable("damaged image", "values that are not finite")  # type: ignore[union-attr]
    assert np.array_equal(pixels(entries[1]), GREY[1])


# --- labels


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        (np.array(["cat", "dog ", "", "ä", "dog", "cat"]), ["cat", "dog", None, "ä", "dog", "cat"]),
        (np.array([b"cat", b"dog", b"", "ä".encode(), b"dog", b"cat"]), ["cat", "dog", None, "ä", "dog", "cat"]),
        (np.array([0, 1, np.nan, 10, 2, 0]), ["0", "1", None, "10", "2", "0"]),
        (np.eye(12)[[0, 2, 1, 10, 2, 0]], ["0", "2", "1", "10", "2", "0"]),
        (np.eye(2, dtype=bool)[[0, 1, 1, 0, 1, 0]], ["0", "1", "1", "0", "1", "0"]),
        (np.array([-1, 2**40, 0, 0, 0, 0]), ["-1", "1099511627776", "0", "0", "0", "0"]),
        (np.array([True, False] * 3), ["1", "0"] * 3),
    ],
)
def test_labels_of_every_type_become_text(stored: NDArray[Any], read: list[str | None], tmp_path: Path) -> None:
    assert labels(list_npz(save(tmp_path / "a.npz", X=GREY, y=stored))) == read


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (np.array([[1, 1, 0]] * 6), "are not one-hot, so that an image has several labels or none"),
        (np.array([[0, 0, 0]] * 6), "are not one-hot"),
        (np.array([[0.9, 0.1]] * 6), "are not one-hot"),
        (np.array([["a", "b"]] * 6), "are not one-hot"),
        (np.array([0.5, 1, 2, 3, 4, 5]), "are numbers such as 0.5, but classes are integers or text"),
        (np.array([np.inf, 1, 2, 3, 4, 5]), "are numbers such as inf"),
        (np.array([b"\xff"] * 6), "are not UTF-8"),
        (np.array(["cat", None] * 3), "holds Python objects, which could run a program"),
        (np.array([1j] * 6), "have the type complex128"),
        (LABELS[:5], "has 6 images in X, but 5 labels in y"),
    ],
)
def test_labels_that_are_none_are_refused(stored: NDArray[Any], said: str, tmp_path: Path) -> None:
    assert said in refusal(save(tmp_path / "a.npz", X=GREY, y=stored))


def test_names_of_classes_are_used_where_there_is_one_for_each_number(tmp_path: Path) -> None:
    names = np.array([f"kind {i}" for i in range(11)])
    listing = list_npz(save(tmp_path / "a.npz", images=GREY, labels=LABELS, class_names=names))
    assert listing.class_names == names.tolist() and not listing.notes.remarks
    assert labels(listing) == ["kind 0", "kind 2", "kind 1", "kind 10", "kind 2", "kind 0"]
    few = list_npz(save(tmp_path / "b.npz", images=GREY, labels=LABELS, class_names=names[:10]))
    assert few.class_names is None and labels(few)[3] == "10"
    assert "b.npz: the arrays class_names are left aside." in few.notes.remarks


def test_images_without_labels_are_unlabeled_and_said(tmp_path: Path) -> None:
    listing = list_npz(save(tmp_path / "a.npz", x_train=GREY, y_train=LABELS, x_test=GREY, y_pred=LABELS))
    assert labels(listing)[6:] == [None] * 6 and {entry.split for entry in listing.images[6:]} == {"test"}
    assert "a.npz has no labels for x_test: these images are unlabeled." in listing.notes.remarks
    assert "a.npz: the arrays y_pred are left aside." in listing.notes.remarks


# --- what is refused


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (RNG.normal(size=(6, 16, 16, 3)), "undo their normalisation"),
        (GREY / 127.5 - 1, "run from -1 to 1, but 0 to 255 or 0 to 1 is expected"),
        (GREY / 255 * 16, "run from 0 to 16"),
        (GREY.astype(np.int16) - 1000, "run from -1,000 to -745"),
        (COLOUR.astype(np.uint16) * 16, "scale them to 0 to 255"),
        (RNG.integers(0, 256, (6, 16, 16, 4), dtype=np.uint8), "have 4 channels [6, 16, 16, 4]"),
        (RNG.integers(0, 256, (6, 2, 16, 16), dtype=np.uint8), "have 2 channels"),
        (RNG.integers(0, 256, (6, 3, 16, 3), dtype=np.uint8), "has the shape [6, 3, 16, 3]"),
        (RNG.integers(0, 256, (6, 8, 8, 8), dtype=np.uint8), "has the shape [6, 8, 8, 8]"),
        (RNG.integers(0, 256, (6, 16, 3), dtype=np.uint8), "has the shape [6, 16, 3]"),
        (RNG.integers(0, 256, (6, 768), dtype=np.uint8), "images.reshape(-1, 3, 32, 32)"),
        (RNG.random((6, 256)), "are no pixels"),
        (np.array([["a"] * 4] * 6), "have the types images <U1"),
    ],
)
def test_numbers_that_are_no_pixels_or_have_an_unclear_order_are_refused(
    images: NDArray[Any], said: str, tmp_path: Path
) -> None:
    assert said in refusal(save(tmp_path / "a.npz", images=images, labels=LABELS))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("a b c", "names no array as images"),
        ("train_images x_train", "has several arrays for the images of the split train (train_images, x_train)"),
        ("images test_images", "does not say the split of each of its arrays images, test_images"),
        ("arr_0 arr_1", "names no array as images"),
        ("labels", "it has labels [6, 16, 16]"),
    ],
)
def test_arrays_of_unclear_names_are_refused(names: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(save(tmp_path / "a.npz", **dict.fromkeys(names.split(), GREY)))


def test_damaged_files_and_other_kinds_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", images=GREY, labels=LABELS)
    whole = path.read_bytes()
    for cut in (0, 10, 500, len(whole) - 5):
        path.write_bytes(whole[:cut])
        assert "cannot be read" in refusal(path)
    assert "does not exist" in refusal(tmp_path / "b.npz")
    np.save(tmp_path / "c.npy", GREY)
    assert "one array without labels: save images and labels together" in refusal(tmp_path / "c.npy")
    path.write_bytes(whole.replace(b"(6, 16, 16)", b"(9, 16, 16)"))
    assert "another size than its header says" in refusal(path) or "CRC" in refusal(path)


# --- IDX


def write_idx(path: Path, array: NDArray[np.uint8], kind: int = 8) -> None:
    data = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize(
    "names", ["{}-{}-idx{}-ubyte.gz", "{}-{}-idx{}-ubyte", "{}-{}.idx{}-ubyte", "emnist-mnist-{}-{}-idx{}-ubyte.gz"]
)
def test_idx_files_as_mnist_has_them(names: str, tmp_path: Path) -> None:
    test = "test" if "emnist" in names else "t10k"
    for split, part in (("train", slice(0, 4)), (test, slice(4, 6))):
        write_idx(tmp_path / names.format(split, "images", 3), GREY[part])
        write_idx(tmp_path / names.format(split, "labels", 1), LABELS[part])
    (tmp_path / "README.md").write_text("digits")
    assert is_idx(tmp_path)
    found = {entry.name: entry for entry in list_idx(tmp_path).images}
    assert set(found) == {*(f"train/{i}" for i in range(4)), "test/0", "test/1"}
    for row, name in enumerate(["train/0", "train/1", "train/2", "train/3", "test/0", "test/1"]):
        assert np.array_equal(pixels(found[name]), GREY[row]) and found[name].label == str(LABELS[row])
        assert found[name].split == name.split("/")[0]


def test_idx_files_in_folders_of_their_own_names_are_read_once(tmp_path: Path) -> None:
    for name, array in (("train-images-idx3-ubyte", GREY), ("train-labels-idx1-ubyte", LABELS)):
        (tmp_path / name).mkdir()
        write_idx(tmp_path / name / name, array)
    assert is_idx(tmp_path)
    assert labels(list_idx(tmp_path)) == [str(label) for label in LABELS]
    write_idx(tmp_path / "train-images.idx3-ubyte", GREY[::-1])
    assert np.array_equal(all_pixels(list_idx(tmp_path)), GREY[::-1])


def test_an_idx_file_beside_its_packed_one_is_read_once(tmp_path: Path) -> None:
    for name in ("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"):
        write_idx(tmp_path / name, GREY)
    listing = list_idx(tmp_path)
    assert len(listing.images) == 6 and labels(listing) == [None] * 6


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"])
def test_damaged_idx_files_are_refused(name: str, tmp_path: Path) -> None:
    write_idx(tmp_path / name, GREY)
    whole = (tmp_path / name).read_bytes()
    for cut in (0, 3, len(whole) // 2, len(whole) - 1):
        (tmp_path / name).write_bytes(whole[:cut])
        with pytest.raises(UserError, match=name):
            list_idx(tmp_path)
    write_idx(tmp_path / name, GREY, kind=0x0D)
    with pytest.raises(UserError, match="of the type 0x0d, but images and labels are bytes"):
        list_idx(tmp_path)


def test_other_folders_are_no_idx(tmp_path: Path) -> None:
    (tmp_path / "train-images").mkdir()
    (tmp_path / "images.png").write_bytes(b"")
    assert not is_idx(tmp_path) and not is_idx(tmp_path / "images.png") and not is_idx(tmp_path / "missing")
    with pytest.raises(UserError, match="holds no images of MNIST's kind"):
        list_idx(tmp_path)


# --- others


def test_files_of_other_kinds_say_how_to_convert_them(tmp_path: Path) -> None:
    for name in ("a.mat", "a.h5", "a.PKL", "a.pt"):
        assert "np.savez" in (explain_other(tmp_path / name) or "")
    assert explain_other(tmp_path / "a.npz") is explain_other(tmp_path) is None
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02")
    assert "the batches of CIFAR-10 (python version)" in (explain_other(tmp_path) or "")


@pytest.mark.parametrize("image", [GREY[0], GREY[0][..., None], COLOUR[0], GREY[0].astype(np.uint16) * 257])
def test_a_png_loses_nothing(image: NDArray[Any]) -> None:
    with Image.open(io.BytesIO(to_png(image))) as opened:
        assert opened.format == "PNG" and np.array_equal(np.asarray(opened), image.squeeze())
