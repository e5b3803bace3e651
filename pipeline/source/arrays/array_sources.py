"""Images in arrays: `.npz` as MedMNIST, Keras and scikit-learn lay them out, and the IDX files of MNIST.

Arrays are mapped into memory where the file stores them without compression; others are loaded once, up to
`MAX_LOADED` bytes. The PNG of an image is made when it is read. N images, H x W px, C channels.
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lake.errors import UserError
from pipeline.pixels.decode import Unusable
from pipeline.source.arrays.array_files import read_idx, read_npz
from pipeline.source.arrays.array_labels import read_labels
from pipeline.source.arrays.array_values import Scale, find_scale
from pipeline.source.listing import ListedImage, Listing
from pipeline.source.meaning.split_names import find_split

IMAGE_WORDS = {"image", "images", "img", "imgs", "x", "data", "pixels", "samples", "inputs"}
LABEL_WORDS = {"label", "labels", "y", "target", "targets", "class", "lbl", "lbls"}
NAME_WORDS = {"names", "name"}
SAMPLE, GRID = 100, 0.01
"""Rows of flat images that are looked at, and how far their values may lie from integers."""
CHANNELS = (1, 3)
CHANNEL_LIKE = (1, 2, 3, 4)
IDX = re.compile(r"(?P<prefix>.*?)(?P<role>images|labels)[-._]idx[13][-._]ubyte(?:\.gz)?", re.IGNORECASE)
HOW_TO_SAVE = "np.savez('photos.npz', images=images, labels=labels)"
UNREAD = {
    ".npy": f"one array without labels: save images and labels together, with {HOW_TO_SAVE}",
    ".mat": f"a file of MATLAB: read it with scipy.io.loadmat, and save its arrays with {HOW_TO_SAVE}",
    ".h5": f"an HDF5 file: read it with h5py, and save its arrays with {HOW_TO_SAVE}",
    ".hdf5": f"an HDF5 file: read it with h5py, and save its arrays with {HOW_TO_SAVE}",
    ".pt": f"a file of PyTorch, which could run a program: save its arrays with {HOW_TO_SAVE}",
    ".pth": f"a file of PyTorch, which could run a program: save its arrays with {HOW_TO_SAVE}",
    ".pkl": f"a pickle, which could run a program: save its arrays with {HOW_TO_SAVE}",
    ".pickle": f"a pickle, which could run a program: save its arrays with {HOW_TO_SAVE}",
    ".tfrecord": "a file of TensorFlow: save its images as files in a folder for each class",
}


@dataclass(frozen=True)
class ArrayImage:
    """One image of an array [N, H, W] or [N, H, W, C], as PNG."""

    images_N: NDArray[Any]
    row: int
    scale: Scale

    def read(self) -> bytes | Unusable:
        """The PNG; unusable if a value is not a number."""
        pixels = self.scale.apply(self.images_N[self.row])
        return to_png(pixels) if pixels is not None else Unusable("damaged image", "values that are not finite")


@dataclass(frozen=True)
class _Part:
    """The images of one split, with the arrays as the file names them."""

    split: str | None
    images: str
    labels: str | None


def to_png(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """A PNG without loss of pixels [H, W], [H, W, 1] or [H, W, 3] of 8 bits, or of grey of 16 bits."""
    squeezed = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(squeezed)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def list_npz(path: Path) -> Listing:
    """The images of a `.npz`, named `train/17` if its arrays name splits, otherwise `row/17`.

    Raises `UserError` if it cannot be read, or if it is unclear what its arrays are.
    """
    if sentence := explain_other(path):
        raise UserError(sentence)
    arrays = read_npz(path)
    parts = _find_parts(path, arrays)
    names = _find_names(arrays, parts)
    used = {name for part in parts for name in (part.images, part.labels)}
    listing = _list(path, arrays, parts, names)
    if aside := [name for name in arrays if name not in used and arrays[name] is not names]:
        listing.notes.remarks.append(f"{path.name}: the arrays {', '.join(aside[:5])} are left aside.")
    return listing


def is_idx(folder: Path) -> bool:
    """Whether a folder holds images as MNIST does: `train-images-idx3-ubyte`, also with `.gz`."""
    return any(match and match["role"].lower() == "images" for match in _idx_names(folder).values())


def list_idx(folder: Path) -> Listing:
    """The images of a folder of IDX files, named `train/17` and `test/17` (t10k).

    Raises `UserError` if a file is damaged, or if images and labels do not match.
    """
    found: dict[tuple[str, str], Path] = {}
    for path, match in _idx_names(folder).items():
        if match:
            key = match["prefix"].lower(), match["role"].lower()
            if key not in found or path.suffix.lower() != ".gz":  # unpacked beside its .gz
                found[key] = path
    prefixes = [prefix for prefix, role in found if role == "images"]
    if not prefixes:
        raise UserError(f"{folder} holds no images of MNIST's kind, such as train-images-idx3-ubyte.gz: check source.")
    arrays = {path.name: read_idx(path) for path in found.values()}
    parts = [
        _Part(
            "test" if "t10k" in prefix else find_split(prefix),
            found[prefix, "images"].name,
            found[prefix, "labels"].name if (prefix, "labels") in found else None,
        )
        for prefix in prefixes
    ]
    _check_splits(folder, parts)
    return _list(folder, arrays, parts, None)


def explain_other(path: Path) -> str | None:
    """One sentence about a file or folder of arrays that is not read, and how to convert it; None for all else."""
    if kind := UNREAD.get(path.suffix.lower()):
        return f"{path} is {kind}."
    if path.is_dir() and (batches := sorted(path.glob("data_batch_1*"))):
        kind = "binary" if batches[0].suffix == ".bin" else "python"
        return (
            f"{path} holds the batches of CIFAR-10 ({kind} version), which are not read as a dataset of your own: "
            f"leave out [dataset], as CIFAR-10 is the default, or save their arrays with {HOW_TO_SAVE}."
        )
    return None


def _idx_names(folder: Path) -> dict[Path, re.Match[str] | None]:
    """The files of a folder, or those that lie in a folder of their own name, as some archives pack them."""
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [path / path.name if path.is_dir() else path for path in inside]
    return {path: IDX.fullmatch(path.name) for path in files if path.is_file()}


def _find_parts(path: Path, arrays: Mapping[str, NDArray[Any]]) -> list[_Part]:
    """Which arrays are the images and labels of which split."""
    roles: dict[tuple[str | None, str], list[str]] = {}
    for name, array in arrays.items():
        if role := _role(name, array):
            roles.setdefault((find_split(name), role), []).append(name)
    if not any(role == "images" for _, role in roles):
        roles = _by_shape(arrays)
    for (split, role), names in roles.items():
        if len(names) > 1:
            what = f"the {role} of the split {split}" if split else f"the {role}"
            raise UserError(f"{path} has several arrays for {what} ({', '.join(names)}): save it with one of them.")
    parts = [
        _Part(split, names[0], roles.get((split, "labels"), [None])[0])
        for (split, role), names in roles.items()
        if role == "images"
    ]
    if not parts:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in list(arrays.items())[:8])
        raise UserError(
            f"{path} names no array as images, as train_images, x_train, images or X would; it has {shapes or 'none'}: "
            f"save it with {HOW_TO_SAVE}."
        )
    _check_splits(path, parts)
    return parts


def _role(name: str, array: NDArray[Any]) -> str | None:
    """Whether an array is images or labels, by the words of its name and its shape."""
    words = set(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name))
    lower = {word.lower() for word in words}
    if lower & NAME_WORDS or array.ndim == 0:
        return None
    if lower & LABEL_WORDS:
        return "labels" if array.ndim <= 2 else None
    return "images" if lower & IMAGE_WORDS and array.ndim >= 2 else None


def _by_shape(arrays: Mapping[str, NDArray[Any]]) -> dict[tuple[str | None, str], list[str]]:
    """The roles of two arrays without telling names: one has the shape of images, the other that of their labels."""
    images = [name for name, array in arrays.items() if array.ndim in (3, 4)]
    labels = [name for name, array in arrays.items() if array.ndim == 1]
    if len(images) != 1 or len(labels) != 1 or len(arrays) != 2:
        return {}
    return {(None, "images"): images, (None, "labels"): labels}


def _check_splits(path: Path, parts: list[_Part]) -> None:
    splits, names = [part.split for part in parts], ", ".join(part.images for part in parts)
    if len(set(splits)) < len(splits):
        raise UserError(f"{path} has several arrays of images for one split ({names}): keep one for each split.")
    if None in splits and len(splits) > 1:
        raise UserError(f"{path} does not say the split of each of its arrays {names}: call them x_train, x_test ...")


def _find_names(arrays: Mapping[str, NDArray[Any]], parts: list[_Part]) -> NDArray[Any] | None:
    """The array of class names: texts, one for each integer label."""
    labels = [arrays[part.labels] for part in parts if part.labels]
    if not labels or any(array.dtype.kind not in "iu" or not array.size for array in labels):
        return None
    low, high = min(int(array.min()) for array in labels), max(int(array.max()) for array in labels)
    for name, array in arrays.items():
        named = {"names", "classes", "categories"} & set(re.findall(r"[a-z]+", name.lower()))
        if named and array.dtype.kind in "US" and array.ndim == 1 and low >= -1 and high < len(array):
            return array
    return None


def _list(path: Path, arrays: Mapping[str, NDArray[Any]], parts: list[_Part], names: NDArray[Any] | None) -> Listing:
    images = {part.images: _channels_last(path, part.images, arrays[part.images]) for part in parts}
    scale, remarks = find_scale(path, images)
    listing = Listing()
    for part in parts:
        images_N = images[part.images]
        labels = read_labels(path, part.labels, arrays[part.labels]) if part.labels else [None] * len(images_N)
        if len(labels) != len(images_N):
            raise UserError(
                f"{path} has {len(images_N):,} images in {part.images}, but {len(labels):,} labels in {part.labels}: "
                "save it again with one label for each image."
            )
        for row, label in enumerate(labels):
            name = f"{part.split or 'row'}/{row}"
            listing.images.append(ListedImage(name, ArrayImage(images_N, row, scale), label, part.split))
    listing.notes.remarks += remarks
    if without := [part.images for part in parts if not part.labels]:
        listing.notes.remarks.append(f"{path.name} has no labels for {', '.join(without)}: these images are unlabeled.")
    return _with_names(path, listing, names)


def _with_names(path: Path, listing: Listing, names: NDArray[Any] | None) -> Listing:
    if names is None:
        if any(entry.label and entry.label.isdecimal() for entry in listing.images):
            listing.notes.remarks.append(f"{path.name} has no names of classes: they are called by their numbers.")
        return listing
    texts = read_labels(path, "names", names)
    listing.class_names = [text or str(number) for number, text in enumerate(texts)]
    listing.images = [
        ListedImage(
            entry.name,
            entry.image,
            listing.class_names[int(entry.label)] if entry.label and entry.label != "-1" else None,
            entry.split,
        )
        for entry in listing.images
    ]
    return listing


def _channels_last(path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    """The images as [N, H, W] or [N, H, W, C]; raises `UserError` if it is unclear which axis is which."""
    shape = list(array.shape)
    if 0 in shape[1:]:
        raise UserError(f"The images {name} of {path} have no pixels (shape {shape}): save them again.")
    if array.ndim == 2:
        return _square(path, name, array)
    if array.ndim == 3 and shape[2] not in CHANNEL_LIKE:
        return array
    if array.ndim == 4:
        last, first = shape[3] in CHANNEL_LIKE, shape[1] in CHANNEL_LIKE
        if last != first and shape[3 if last else 1] in CHANNELS:
            return array if last else array.transpose(0, 2, 3, 1)
        if last != first:
            raise UserError(
                f"The images {name} of {path} have {shape[3 if last else 1]} channels {shape}: "
                "save them with one (grey) or three (red, green, blue)."
            )
    raise UserError(
        f"The array {name} of {path} has the shape {shape}, but images have [N, H, W] or [N, H, W, 3]: "
        "save them in this shape."
    )


def _square(path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Rows of grey pixels of square images as [N, H, W]; in other rows the order of pixels is unclear."""
    side = round(array.shape[1] ** 0.5)
    if side < 2 or side * side != array.shape[1] or not _were_bytes(array[:SAMPLE]):
        raise UserError(
            f"The array {name} of {path} has the shape {list(array.shape)}, which are no pixels, or in an unclear "
            "order: save it as [N, H, W] or [N, H, W, 3], such as images.reshape(-1, 3, 32, 32) for CIFAR's order."
        )
    return array.reshape(len(array), side, side)


def _were_bytes(values: NDArray[Any]) -> bool:
    """Whether numbers are integers, or were before a division by 255; other features are not."""
    if values.dtype.kind != "f":
        return True
    grid = values * (255 if values.max(initial=0) <= 1 else 1)
    return bool((np.abs(grid - np.rint(grid)) < GRID).all())
