"""Add images and labels that arrive later, from a source of any kind that grows: folder, table or archive.

They are read as the source of a dataset is. Classes are those of the dataset: folders, a column, or lists such as
labels.csv name them. The name of an existing sample, such as test/42, adds a label to a sample whose label was
withheld. A labelled image joins the test split, as no model was trained on it; an image without a label is unlabeled.
What cannot be used is in quarantine and stops nothing.

A sample is identified by its name and pixels: it keeps its id for ever, and changed pixels make a new sample.
N samples of the dataset, M new ones.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.tables import make_frame
from lake.storage.attempts import count_refused
from lake.storage.store import Lake
from pipeline.config.dataset import DatasetSettings
from pipeline.data.dataset import Dataset, hash_pixels
from pipeline.data.image_dataset import give_unique_names
from pipeline.data.incoming.labels import several
from pipeline.data.incoming.source import list_incoming, read_incoming
from pipeline.data.known_range import SETTING, KnownRange, settle_range
from pipeline.data.load import file_facts
from pipeline.data.sample_ids import Key, KnownSamples
from pipeline.engine.progress import Progress
from pipeline.pixels.bit_depth import ValueRange
from pipeline.pixels.decode import Unusable, decode_all, tell_remarks
from pipeline.pixels.display_images import Original, by_sample
from pipeline.pixels.survey import count_crops
from pipeline.settings import Settings
from pipeline.source.answers import Assumed, with_answers
from pipeline.source.folders.walk import Folder, walk
from pipeline.source.listing import ListedImage
from pipeline.source.understanding.settle import read_assumed, to_rows


@dataclass(frozen=True)
class _NewImages:
    """The usable new images with their keys, and what could not be used or was noticed."""

    entries: list[ListedImage]
    keys: list[Key]
    images_MHWC: NDArray[np.uint8]
    originals: list[Original | None]
    refused: list[tuple[str, Unusable]]
    remarks: list[str]

    def without(self, keys: set[Key]) -> "_NewImages":
        """Those with other keys."""
        rows = [row for row, key in enumerate(self.keys) if key not in keys]
        if len(rows) == len(self.keys):
            return self
        return replace(
            self,
            entries=[self.entries[row] for row in rows],
            keys=[self.keys[row] for row in rows],
            images_MHWC=self.images_MHWC[rows],
            originals=[self.originals[row] for row in rows],
        )


def list_files(source: Path) -> list[list[str | int]]:
    """Path, size and modification time of a file, or of every file below a folder that may be read, without opening it.

    Equal lists mean that nothing changed; of a file that cannot be looked at, that it is unreadable.
    """
    if not source.is_dir():
        return [file_facts(source)]
    folders = [found for found in walk(source) if isinstance(found, Folder)]
    return [file_facts(folder.path_of(file)) for folder in folders for file in folder.files]


def list_new_data(settings: Settings) -> list[list[str | int]]:
    """As `list_files`, of the new data and the images that a table names; raises `UserError` if it cannot be read."""
    source = settings.new_data
    if source is None:
        return []
    if isinstance(source, Path) and source.is_dir():
        return list_files(source)
    listing, _ = list_incoming(source, settings.dataset, settings.cache_dir, lambda _: None)
    pictures = [image.image for image in listing.images if isinstance(image.image, Path)]
    return [file_facts(path) for path in dict.fromkeys([*listing.files, *pictures])]


def add_new_data(dataset: Dataset, settings: Settings, lake: Lake, progress: Progress) -> Dataset:
    """The dataset extended with the new data of the settings, and the originals of resized images.

    Raises `UserError` if the source of the new data as a whole cannot be read.
    """
    source = settings.new_data
    if source is None:
        return dataset
    known = [*_assumed(dataset), *read_assumed(lake, dataset.dataset_id)]
    incoming = read_incoming(
        source,
        _answered(settings.dataset, dataset),
        dataset.classes,
        dataset.source_name,
        cache=settings.cache_dir,
        say=progress.say,
    )
    depth = _settle_range(incoming.images, known)
    known_samples = KnownSamples.read(lake, dataset.dataset_id)
    found = _decode(incoming.images, dataset.images_NHWC.shape[1], settings, known_samples, depth.value_range, progress)
    own_keys = set(zip(dataset.source_name, dataset.sha256, strict=True))
    new = found.without(own_keys)
    repeated = {
        entry.name: entry.label for entry, key in zip(found.entries, found.keys, strict=True) if key in own_keys
    }
    labels = incoming.labels | {name: label for name, label in repeated.items() if label is not None}
    refused = [*incoming.refused, *found.refused]
    remarks = [*depth.remarks, *incoming.remarks, *found.remarks]
    if repeated:
        remarks.append(
            f"Samples of the dataset already, and not added again: {len(repeated):,}, such as {next(iter(repeated))}."
        )
    dataset, changed = _label_withheld(dataset, labels)
    remarks += changed
    remarks = [f"New data: {remark}" for remark in remarks]
    progress.say(_summarize(new.entries, refused, source))
    for remark in remarks:
        progress.say(remark)
    extended = _extend(dataset, new, known_samples, _gather(incoming.metadata, new.entries))
    return replace(
        extended,
        quarantine=_quarantine(extended, refused),
        usable=None if dataset.usable is None else dataset.usable + len(new.entries),
        understood=[*dataset.understood, *remarks],
        assumed=to_rows([*(one for one in _assumed(dataset) if one.setting != SETTING), *depth.to_assumed()]),
    ).with_hashes(extended.sha256)


def _summarize(entries: Sequence[ListedImage], refused: list[tuple[str, Unusable]], source: Path | str) -> str:
    labelled = sum(entry.label is not None for entry in entries)
    text = f"New data: {several(len(entries), 'image')}, {labelled:,} with a label, from {source}"
    reasons = count_refused((name, why.reason, why.detail) for name, why in refused)
    told = ", ".join(f"{row['n']:,} {row['reason']!r}, such as {row['example']}" for row in reasons)
    return f"{text}; {len(refused):,} could not be used ({told})." if refused else f"{text}."


def _assumed(dataset: Dataset) -> list[Assumed]:
    return [Assumed(row["setting"], json.loads(row["value"]), row["sentence"]) for row in dataset.assumed]


def _answered(own: DatasetSettings | None, dataset: Dataset) -> DatasetSettings | None:
    """The settings of the dataset with what was assumed of it."""
    return with_answers(own, [one for one in _assumed(dataset) if one.setting != SETTING]) if own else None


def _settle_range(images: Sequence[ListedImage], known: list[Assumed]) -> KnownRange:
    """The range of values of the dataset, extended by kinds of numbers that only the new images have."""
    depth = settle_range([image.image for image in images if image.image is not None], known)
    kept = next((one for one in known if one.setting == SETTING), None)
    if depth.value_range is None and kept is not None:
        return KnownRange(ValueRange.from_json(kept.value), [kept.sentence])
    return depth


def _decode(
    images: Sequence[ListedImage],
    side: int,
    settings: Settings,
    known_samples: KnownSamples,
    value_range: ValueRange | None,
    progress: Progress,
) -> _NewImages:
    """Decode each image to [side, side, 3]; see `pipeline.pixels.decode`."""
    pictured = [entry for entry in images if entry.image is not None]
    new = _NewImages([], [], np.empty((len(pictured), side, side, 3), np.uint8), [], [], [])
    sizes, counts = [], Counter[str]()
    with progress.task("new images", len(pictured)) as task:
        decoded = decode_all(
            [entry.image for entry in pictured if entry.image is not None],
            side,
            display_side=settings.display_side,
            is_new=lambda i, pixels: _key(pictured[i].name, pixels) not in known_samples.sample_id,
            threads=settings.threads,
            done=task.advance,
            value_range=value_range,
        )
        for entry, image in zip(pictured, decoded, strict=True):
            if isinstance(image, Unusable):
                new.refused.append((entry.name, image))
                continue
            new.images_MHWC[len(new.entries)] = image.pixels
            new.entries.append(entry)
            new.keys.append(_key(entry.name, image.pixels))
            new.originals.append(image.original)
            sizes.append(image.size)
            counts.update(image.remarks)
    remarks = [*tell_remarks(counts), *count_crops(np.array(sizes).reshape(-1, 2), side)]
    return replace(new, images_MHWC=new.images_MHWC[: len(new.entries)], remarks=remarks)


def _key(name: str, image_HWC: NDArray[np.uint8]) -> Key:
    return name, hash_pixels(image_HWC, name)


def _label_withheld(dataset: Dataset, labels: dict[str, str]) -> tuple[Dataset, list[str]]:
    """The dataset with labels that arrived for its unlabeled samples, which become test samples, and what to say."""
    code = {name: dataset.classes.index(label) for name, label in labels.items()}
    named = [i for i, name in enumerate(dataset.source_name) if name in code]
    rows = [i for i in named if dataset.split[i] == "unlabeled"]
    other = [i for i in named if dataset.split[i] != "unlabeled" and dataset.label[i] != code[dataset.source_name[i]]]
    if not named:
        return dataset, []
    label, split = dataset.label.copy(), dataset.split.copy()
    label[rows] = [code[dataset.source_name[i]] for i in rows]
    split[rows] = "test"
    remarks = [f"Labels arrived for {several(len(rows), 'sample')}, to be measured in the split test."] if rows else []
    if other:
        example = dataset.source_name[other[0]]
        remarks.append(
            f"Labels that differ from those in the dataset, which stay: {len(other):,}, as of {example}; "
            "correct it in the source, or in a review."
        )
    return replace(dataset, label=label, split=split).with_hashes(dataset.sha256), remarks


def _extend(dataset: Dataset, new: _NewImages, known_samples: KnownSamples, metadata: dict[str, pl.Series]) -> Dataset:
    """The dataset with the new samples, by ascending id."""
    if not new.entries:
        return dataset
    ids = known_samples.assign_ids(new.keys, after=int(dataset.sample_id.max()))
    class_index = {name: i for i, name in enumerate(dataset.classes)}
    codes = np.array([-1 if entry.label is None else class_index[entry.label] for entry in new.entries], np.int64)
    sample_id = np.concatenate([dataset.sample_id, ids])
    order = np.argsort(sample_id)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    images_NHWC = np.empty((len(order), *dataset.images_NHWC.shape[1:]), np.uint8)
    images_NHWC[place[: len(dataset)]] = dataset.images_NHWC
    images_NHWC[place[len(dataset) :]] = new.images_MHWC
    names = [*dataset.source_name, *(name for name, _ in new.keys)]
    sha256 = [*dataset.sha256, *(sha for _, sha in new.keys)]
    split = np.where(codes >= 0, "test", "unlabeled")
    return replace(
        dataset,
        sample_id=sample_id[order],
        images_NHWC=images_NHWC,
        label=np.concatenate([dataset.label, codes])[order],
        split=np.concatenate([dataset.split, split])[order],
        source_name=[names[i] for i in order],
        metadata={
            name: _append(column, metadata.get(name), len(ids))[order] for name, column in dataset.metadata.items()
        },
        originals=dataset.originals | by_sample(ids, new.originals),
    ).with_hashes([sha256[i] for i in order])


def _gather(metadata: dict[str, pl.Series], entries: Sequence[ListedImage]) -> dict[str, pl.Series]:
    """The metadata of the images."""
    rows = [entry.row for entry in entries]
    return {name: column.gather(rows) for name, column in metadata.items()}


def _append(column: pl.Series, new: pl.Series | None, count: int) -> pl.Series:
    """The values of a column and those of the new samples, which are missing where they do not fit its type."""
    if new is None:
        return column.extend_constant(None, count)
    dtype: Any = column.dtype
    if dtype.is_integer() and new.dtype.is_float():
        dtype = pl.Float64
    return pl.concat([column.cast(dtype), new.cast(dtype, strict=False)])


def _quarantine(extended: Dataset, refused: list[tuple[str, Unusable]]) -> pl.DataFrame:
    """The quarantine with what is refused of the new data, under names of its own."""
    used = {*extended.source_name, *extended.quarantine["source_name"]}
    rows = [
        {"source_name": name, "reason": why.reason, "detail": why.detail}
        for name, why in give_unique_names(sorted(refused, key=lambda one: one[0]), used)
    ]
    return pl.concat([extended.quarantine, make_frame("quarantine", rows)]).sort("source_name")
