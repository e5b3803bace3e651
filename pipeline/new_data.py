"""Images that come in after the first: a folder or a parquet file that grows, and labels that arrive later.

A folder holds images in any sub-folders and, where labels are known, `labels.csv` with the columns name and label. A
parquet file has the columns name, image (encoded bytes) and label (null where it is withheld). Names are paths in the
folder; a name of the dataset itself, such as test/42, gives a label to a sample whose label was withheld. A labelled
image joins the test split, as no model was trained on it; one without a label is unlabeled.

A sample is a name and its pixels: it keeps its number for ever, changed pixels are another sample.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.errors import UserError
from lake.store import Lake
from pipeline.datasets import Dataset
from pipeline.image_files import Unusable, decode
from pipeline.numbering import Known
from pipeline.progress import Progress

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
LABELS = "labels.csv"


@dataclass(frozen=True)
class Incoming:
    """Encoded images by name, and labels by name, which may be of other samples too."""

    images: dict[str, bytes]
    labels: dict[str, str]


def list_files(source: Path) -> list[list[str | int]]:
    """Name, size and time of change of everything new data consist of: equal means nothing came."""
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def add_new_data(dataset: Dataset, source: Path, lake: Lake, progress: Progress) -> Dataset:
    """The dataset with the images and labels of a folder or parquet file.

    Raises `UserError` naming the file that cannot be read or the label that is no class.
    """
    incoming = read_incoming(source)
    number = {name: i for i, name in enumerate(dataset.classes)}
    for name, label in incoming.labels.items():
        if label not in number:
            raise UserError(f"{source}: {name} has the label {label[:40]!r}, which is none of {dataset.classes}.")
    side = dataset.images_NHWC.shape[1]
    images = {name: _decode(name, data, side) for name, data in sorted(incoming.images.items())}
    codes = np.array([number[incoming.labels[n]] if n in incoming.labels else -1 for n in images], dtype=np.int64)
    keys = [(name, hashlib.sha256(image.tobytes()).hexdigest()) for name, image in images.items()]
    ids = Known.read(lake, dataset.dataset_id).number_of(keys, after=int(dataset.sample_id.max()))
    if len(images):
        progress.say(f"New data: {len(images):,} images, {int((codes >= 0).sum()):,} with a label, from {source}.")
    labelled = _label_withheld(dataset, incoming.labels, number)
    order = np.argsort(np.concatenate([labelled.sample_id, ids]))
    pixels = [labelled.images_NHWC, np.array(list(images.values()), np.uint8).reshape(-1, side, side, 3)]
    split = np.where(codes >= 0, "test", "unlabeled")
    names = [*labelled.source_name, *images]
    return replace(
        labelled,
        sample_id=np.concatenate([labelled.sample_id, ids])[order],
        images_NHWC=np.concatenate(pixels)[order],
        label=np.concatenate([labelled.label, codes])[order],
        split=np.concatenate([labelled.split, split])[order],
        source_name=[names[i] for i in order],
        metadata={name: column.extend_constant(None, len(images))[order] for name, column in labelled.metadata.items()},
    )


def read_incoming(source: Path) -> Incoming:
    """What lies in a folder or a parquet file now."""
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


def _label_withheld(dataset: Dataset, labels: dict[str, str], number: dict[str, int]) -> Dataset:
    """The dataset with the labels that arrived for samples of its own: they are test samples from now on."""
    arrived = {name: number[label] for name, label in labels.items()}
    rows = [i for i, name in enumerate(dataset.source_name) if name in arrived and dataset.split[i] == "unlabeled"]
    label, split = dataset.label.copy(), dataset.split.copy()
    label[rows] = [arrived[dataset.source_name[i]] for i in rows]
    split[rows] = "test"
    return replace(dataset, label=label, split=split)


def _decode(name: str, data: bytes, side: int) -> NDArray[np.uint8]:
    """The pixels [side, side, 3], as `pipeline.image_files` makes them."""
    found = decode(data, side)
    if isinstance(found, Unusable):
        raise UserError(f"The new image {name} cannot be read ({found.reason}): replace or remove it.")
    return found


def _read_labels(file: Path) -> dict[str, str]:
    return dict(_read_table(file, ["name", "label"]).drop_nulls().iter_rows())


def _read_table(file: Path, columns: list[str]) -> pl.DataFrame:
    """The named columns of a CSV or parquet file."""
    try:
        table = pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file, infer_schema=False)
        return table.select(columns)
    except (OSError, pl.exceptions.PolarsError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{file} cannot be read ({first}): it needs the columns {', '.join(columns)}.") from None
