"""Dataset from a custom source: files or rows decoded, assigned ids and splits, and a quarantine of unusable ones.

Every image is either a sample, in quarantine, or left out by the setting `samples`; the same holds for rows of external
predictions without images. N images, K classes.
"""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.tables import make_frame
from lake.errors import UserError
from lake.query.joined_samples import reserved_columns
from lake.storage.store import Lake
from pipeline.config.dataset import DatasetSettings
from pipeline.data.dataset import Dataset, ExternalPredictions, hash_pixels, stratified
from pipeline.data.decode import Unusable, decode_all
from pipeline.data.display_images import Original, by_sample
from pipeline.data.external_predictions import TablePredictions, name_classes, read_predictions
from pipeline.data.image_tables import ListedImage, Listing, is_table, list_images
from pipeline.data.sample_ids import KnownSamples
from pipeline.data.splits import assign_missing_splits
from pipeline.engine.progress import Progress
from pipeline.settings import Settings

MIN_IMAGES, MIN_CLASSES, MAX_CLASSES = 100, 2, 1000
OTHER = "other"
"""Value of a class that a grouping does not name."""


@dataclass(frozen=True)
class _Images:
    """The usable images, and name and reason of each unusable one."""

    entries: list[ListedImage]
    images_NHWC: NDArray[np.uint8]
    originals: list[Original | None]
    refused: list[tuple[str, Unusable]]


def load_own_images(own: DatasetSettings, settings: Settings, lake: Lake, progress: Progress) -> Dataset:
    """The dataset described by `own`; samples known to the lake keep their ids and splits.

    Raises `UserError` if the source cannot be read or cannot be trained on, or if a column name is reserved.
    """
    listing = list_images(own)
    _check_names(own, listing)
    predictions = _read_predictions(listing, own)
    known_samples = KnownSamples.read(lake, _dataset_id(own, settings))
    images = _decode(listing, own, settings, known_samples, progress)
    classes = _find_classes(images, predictions, own)
    class_index = {name: i for i, name in enumerate(classes)}
    label = np.array(
        [-1 if entry.label is None else class_index[entry.label] for entry in images.entries], dtype=np.int64
    )
    keys = [
        (entry.name, hash_pixels(image, entry.name))
        for entry, image in zip(images.entries, images.images_NHWC, strict=True)
    ]
    split = _split(label, images.entries, [known_samples.split.get(key) for key in keys], own, settings.split_seed)
    rows = _choose(label, split, np.array([key in known_samples.sample_id for key in keys]), settings)
    sample_id = known_samples.assign_ids([keys[i] for i in rows])
    order, sample_id = rows[np.argsort(sample_id)], np.sort(sample_id)
    counts = f"{len(order):,} of {len(keys):,} images of {len(classes):,} classes"
    progress.say(f"{_name(own)}: {counts}; {len(images.refused):,} files could not be used.")
    source_rows = [images.entries[i].row for i in order]
    return Dataset(
        dataset_id=_dataset_id(own, settings),
        name=_name(own),
        classes=classes,
        groups=_groupings(own, classes),
        sample_id=sample_id,
        images_NHWC=images.images_NHWC[order],
        label=label[order],
        split=split[order],
        source_name=[keys[i][0] for i in order],
        quarantine=_quarantine(images),
        metadata={name: column.gather(source_rows) for name, column in listing.columns.items()},
        external=ExternalPredictions(
            sample_id, predictions.logits_NK[source_rows], predictions.embedding_ND[source_rows]
        )
        if predictions
        else None,
        originals=by_sample(sample_id, [images.originals[i] for i in order]),
    ).with_hashes([keys[i][1] for i in order])


def _read_predictions(listing: Listing, own: DatasetSettings) -> TablePredictions | None:
    """The predictions of all rows; entries of `listing` without usable ones are refused. None if not configured."""
    if own.predictions is None:
        return None
    predictions = read_predictions(listing.table, own)
    listing.refused += [
        (entry.name, predictions.refused[entry.row]) for entry in listing.images if entry.row in predictions.refused
    ]
    listing.images = [entry for entry in listing.images if entry.row not in predictions.refused]
    return predictions


def _decode(
    listing: Listing, own: DatasetSettings, settings: Settings, known_samples: KnownSamples, progress: Progress
) -> _Images:
    """Decode every image of the listing; of images with the same name, the first is used."""
    first_of_name = {entry.name: entry for entry in reversed(listing.images)}
    unique = [entry for entry in listing.images if first_of_name[entry.name] is entry]
    refused = [
        (entry.name, Unusable("duplicate name")) for entry in listing.images if first_of_name[entry.name] is not entry
    ]
    pictures = [entry.image for entry in unique if entry.image is not None]
    if not pictures:
        no_pixels = np.empty((len(unique), 0, 0, 3), np.uint8)
        refused = _rename([*listing.refused, *refused], set(first_of_name))
        return _Images(unique, no_pixels, [None] * len(unique), refused)
    images_NHWC = np.empty((len(unique), own.size, own.size, 3), np.uint8)
    usable: list[ListedImage] = []
    originals: list[Original | None] = []
    with progress.task("images", len(unique)) as task:
        decoded = decode_all(
            pictures,
            own.size,
            display_side=own.display_side,
            is_new=lambda i, pixels: (
                (unique[i].name, hash_pixels(pixels, unique[i].name)) not in known_samples.sample_id
            ),
            threads=settings.threads,
            done=task.advance,
        )
        for entry, image in zip(unique, decoded, strict=True):
            if isinstance(image, Unusable):
                refused.append((entry.name, image))
            else:
                images_NHWC[len(usable)] = image.pixels
                usable.append(entry)
                originals.append(image.original)
    names = {entry.name for entry in usable}
    return _Images(usable, images_NHWC[: len(usable)], originals, _rename([*listing.refused, *refused], names))


def _rename(refused: list[tuple[str, Unusable]], used_names: set[str]) -> list[tuple[str, Unusable]]:
    """The refused entries with unique names that are not in `used_names`."""
    renamed = []
    times = Counter(used_names)
    for name, why in refused:
        unique_name = name
        while unique_name in used_names:
            times[name] += 1
            unique_name = f"{name} ({times[name]})"
        used_names.add(unique_name)
        renamed.append((unique_name, why))
    return renamed


def _find_classes(images: _Images, predictions: TablePredictions | None, own: DatasetSettings) -> list[str]:
    """The classes of the external predictions, otherwise the sorted labels.

    Raises `UserError` if there are too few or too many classes, or too few images.
    """
    if len(images.entries) < MIN_IMAGES:
        count = f"The dataset {own.source} has {len(images.entries):,} usable images"
        if not images.refused:
            raise UserError(f"{count}: at least {MIN_IMAGES} are needed.")
        raise UserError(
            f"{count}, and {len(images.refused):,} that cannot be used: at least {MIN_IMAGES} are needed. "
            f"{_tell_commonest(images.refused)}. Fix these images, or add others."
        )
    classes = sorted({entry.label for entry in images.entries if entry.label is not None})
    if predictions:
        classes = name_classes(predictions.logits_NK.shape[1], classes, own)
    if not MIN_CLASSES <= len(classes) <= MAX_CLASSES:
        only = f" ({classes[0]!r})" if len(classes) == 1 else ""
        raise UserError(
            f"The number of classes in the dataset {own.source} is {len(classes):,}{only}: "
            f"{MIN_CLASSES} to {MAX_CLASSES:,} are needed."
        )
    return classes


def _tell_commonest(refused: list[tuple[str, Unusable]]) -> str:
    """The most common reason, with an example."""
    ((reason, count),) = Counter(why.reason for _, why in refused).most_common(1)
    name, detail = next((name, why.detail) for name, why in refused if why.reason == reason)
    return f"The most common reason ({count:,} of them) is {reason!r}, as for {name}" + (
        f" ({detail})" if detail else ""
    )


def _choose(
    label: NDArray[np.int64], split: NDArray[np.str_], is_known_N: NDArray[np.bool_], settings: Settings
) -> NDArray[np.int64]:
    """Row indices to keep, ascending: all, or `samples` of them. Known samples are always kept.

    New samples are stratified by class and split.
    """
    if settings.samples is None:
        return np.arange(len(label))
    old, new = np.flatnonzero(is_known_N), np.flatnonzero(~is_known_N)
    room = max(0, settings.samples - len(old))
    strata = np.unique(split, return_inverse=True)[1] * (label.max() + 2) + label
    return np.sort(np.concatenate([old, stratified(new, strata, room, np.random.default_rng(settings.split_seed))]))


def _quarantine(images: _Images) -> pl.DataFrame:
    rows = [{"source_name": name, "reason": why.reason, "detail": why.detail} for name, why in images.refused]
    return make_frame("quarantine", rows).sort("source_name")


def _split(
    label: NDArray[np.int64],
    entries: list[ListedImage],
    known_splits: list[str | None],
    own: DatasetSettings,
    seed: int,
) -> NDArray[np.str_]:
    """The split of each image. Raises `UserError` if a required split has no labelled image.

    With external predictions, the splits named by the source are used as they are: we do not decide what was trained
    on.
    """
    source_splits = [entry.split for entry in entries]
    needed = ("test",) if own.predictions else ("train", "validation", "test")
    shares = {"test_share": own.test_share, "validation_share": own.validation_share}
    split = (
        np.array(source_splits)
        if own.predictions
        else assign_missing_splits(label, source_splits, known_splits, **shares, seed=seed)
    )
    advice = "assign some to this split, or change test_share and validation_share in [dataset]"
    if own.predictions:
        advice = "assign some to this split, or leave their split empty"
    for name in needed:
        if not (split == name).any():
            raise UserError(
                f"The dataset {own.source} has no labelled image in the split {name}: label more, {advice}."
            )
    return split


def _check_names(own: DatasetSettings, listing: Listing) -> None:
    """Raises `UserError` if a grouping or metadata column has the name of another column."""
    if own.metadata and not is_table(own):
        raise UserError(
            f"metadata = {own.metadata}, but {own.source} is a folder of images, which has no columns: remove the "
            "setting, or name a table as the source."
        )
    names = [*own.groups, *listing.columns]
    clashes = [name for name in names if name in reserved_columns() or names.count(name) > 1]
    if len(listing.columns) < len(own.metadata):
        raise UserError(
            f"Two columns in metadata = {own.metadata} share a name apart from spaces and punctuation: rename one."
        )
    if clashes:
        raise UserError(f"[dataset]: {clashes[0]!r} is already a column of the samples: choose another name.")


def _groupings(own: DatasetSettings, classes: list[str]) -> dict[str, dict[str, str]]:
    """Grouping -> class -> value. Raises `UserError` if a grouping names an unknown class."""
    groupings = {}
    for name, values in own.groups.items():
        value_of = {label: value for value, labels in values.items() for label in labels}
        if strangers := value_of.keys() - set(classes):
            raise UserError(f"[dataset.groups.{name}] names {min(strangers)!r}, which is not a class of {own.source}.")
        groupings[name] = {label: value_of.get(label, OTHER) for label in classes}
    return groupings


def _name(own: DatasetSettings) -> str:
    source = own.source.absolute()
    return own.name or (source.name if source.is_dir() else source.stem) or "images"


def _dataset_id(own: DatasetSettings, settings: Settings) -> str:
    """Identifies the source and its split, not its content: it stays the same when images are added."""
    where = None if own.name else str(own.source.absolute())
    besides = {"source", "metadata", "groups", "display_side"} | (set() if own.predictions else {"predictions"})
    columns = own.model_dump(mode="json", exclude=besides)
    facts = [where, columns, settings.samples, settings.split_seed]
    ascii_name = unicodedata.normalize("NFKD", _name(own)).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:40].strip("-")
    return f"{words or 'own'}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:10]}"
