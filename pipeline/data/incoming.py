"""Add images and labels that arrive later, from a folder or a parquet file that grows.

A folder holds images in any sub-folders and, where labels are known, `labels.csv` with the columns name and label. A
parquet file has the columns name, image (encoded bytes) and label (null if withheld). Names are paths in the folder;
the name of an existing sample, such as test/42, adds a label to a sample whose label was withheld. A labelled image
joins the test split, as no model was trained on it; an image without a label is unlabeled.

A sample is identified by its name and pixels: it keeps its id for ever, and changed pixels make a new sample.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.errors import UserError, first_line
from lake.storage.store import Lake
from pipeline.config.dataset import DISPLAY_SIDE
from pipeline.data.dataset import Dataset, hash_pixels
from pipeline.data.decode import Decoded, Unusable, decode_all
from pipeline.data.display_images import by_sample
from pipeline.data.sample_ids import Key, KnownSamples
from pipeline.engine.progress import Progress

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
LABELS = "labels.csv"


@dataclass(frozen=True)
class Incoming:
    """Encoded images by name, and labels by name, which may also belong to existing samples."""

    images: dict[str, bytes]
    labels: dict[str, str]


def list_files(source: Path) -> list[list[str | int]]:
    """Path, size and modification time of every file of the new data; equal lists mean that nothing changed."""
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def add_new_data(
    dataset: Dataset, source: Path, lake: Lake, progress: Progress, *, display_side: int = DISPLAY_SIDE
) -> Dataset:
    """The dataset extended with the images and labels of a folder or parquet file, and the originals of resized images.

    Raises `UserError` naming the file that cannot be read or the label that is not a class.
    """
    incoming = read_incoming(source)
    class_index = {name: i for i, name in enumerate(dataset.classes)}
    for name, label in incoming.labels.items():
        if label not in class_index:
            raise UserError(f"{source}: {name} has the label {label[:40]!r}, which is not one of {dataset.classes}.")
    side, known_samples = dataset.images_NHWC.shape[1], KnownSamples.read(lake, dataset.dataset_id)
    images = _decode(incoming.images, side, display_side, known_samples)
    codes = np.array([class_index[incoming.labels[n]] if n in incoming.labels else -1 for n in images], dtype=np.int64)
    ids = known_samples.assign_ids(
        [_key(name, image.pixels) for name, image in images.items()], after=int(dataset.sample_id.max())
    )
    if len(images):
        progress.say(f"New data: {len(images):,} images, {int((codes >= 0).sum()):,} with a label, from {source}.")
    labelled = _label_withheld(dataset, incoming.labels, class_index)
    order = np.argsort(np.concatenate([labelled.sample_id, ids]))
    new_NHWC = np.array([image.pixels for image in images.values()], np.uint8).reshape(-1, side, side, 3)
    split = np.where(codes >= 0, "test", "unlabeled")
    names = [*labelled.source_name, *images]
    return replace(
        labelled,
        sample_id=np.concatenate([labelled.sample_id, ids])[order],
        images_NHWC=np.concatenate([labelled.images_NHWC, new_NHWC])[order],
        label=np.concatenate([labelled.label, codes])[order],
        split=np.concatenate([labelled.split, split])[order],
        source_name=[names[i] for i in order],
        metadata={name: column.extend_constant(None, len(images))[order] for name, column in labelled.metadata.items()},
        originals=labelled.originals | by_sample(ids, [image.original for image in images.values()]),
    )


def read_incoming(source: Path) -> Incoming:
    """The current content of a folder or parquet file."""
    if source.is_dir():
        images = {
            path.relative_to(source).as_posix(): path.read_bytes()
            for path in sorted(source.rglob("*"))
            if path.suffix.lower() in SUFFIXES
        }
        file = source / LABELS
        return Incoming(images, _read_labels(file) if file.exists() else {})
    if source.suffix != ".parquet" or not source.exists():
        raise UserError(f"The new data {source} are neither a folder nor a parquet file: check new_data.")
    rows = _read_table(source, ["name", "image", "label"])
    labels = {name: label for name, _, label in rows.iter_rows() if label is not None}
    return Incoming({name: image for name, image, _ in rows.iter_rows() if image is not None}, labels)


def _label_withheld(dataset: Dataset, labels: dict[str, str], class_index: dict[str, int]) -> Dataset:
    """The dataset with labels that arrived for its unlabeled samples, which become test samples."""
    arrived = {name: class_index[label] for name, label in labels.items()}
    rows = [i for i, name in enumerate(dataset.source_name) if name in arrived and dataset.split[i] == "unlabeled"]
    label, split = dataset.label.copy(), dataset.split.copy()
    label[rows] = [arrived[dataset.source_name[i]] for i in rows]
    split[rows] = "test"
    return replace(dataset, label=label, split=split)


def _decode(files: dict[str, bytes], side: int, display_side: int, known_samples: KnownSamples) -> dict[str, Decoded]:
    """Decode each image, in the order of names; see `pipeline.data.decode`."""
    names = sorted(files)
    decoded = decode_all(
        [files[name] for name in names],
        side,
        display_side=display_side,
        is_new=lambda i, pixels: _key(names[i], pixels) not in known_samples.sample_id,
        threads=1,
        done=lambda: None,
    )
    return {name: _usable(name, image) for name, image in zip(names, decoded, strict=True)}


def _usable(name: str, result: Decoded | Unusable) -> Decoded:
    if isinstance(result, Unusable):
        raise UserError(f"The new image {name} cannot be read ({result.reason}): replace or remove it.")
    return result


def _key(name: str, image_HWC: NDArray[np.uint8]) -> Key:
    return name, hash_pixels(image_HWC, name)


def _read_labels(file: Path) -> dict[str, str]:
    return dict(_read_table(file, ["name", "label"]).drop_nulls().iter_rows())


def _read_table(file: Path, columns: list[str]) -> pl.DataFrame:
    """The named columns of a CSV or parquet file."""
    try:
        if file.suffix == ".parquet":
            return pl.read_parquet(file, glob=False).select(columns)
        return pl.read_csv(file, glob=False, infer_schema=False).select(columns)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(
            f"{file} cannot be read ({first_line(error)}): it needs the columns {', '.join(columns)}."
        ) from None
