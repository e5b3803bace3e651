"""Dataset from a custom source: files or rows decoded, assigned ids and splits, and a quarantine of unusable ones.

Every image is either a sample, in quarantine, or left out by the setting `samples`; the same holds for rows of external
predictions without images. N images, K classes.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.tables import make_frame
from lake.errors import UserError
from lake.query.joined_samples import reserved_columns
from lake.storage.store import Lake
from pipeline.config.dataset import DatasetSettings
from pipeline.data.dataset import FEWEST_EMBEDDED, Dataset, ExternalPredictions, hash_pixels, stratified
from pipeline.data.dataset_id import find_id, name_of
from pipeline.data.few_images import check_enough, check_training, tell_few
from pipeline.data.known_range import SETTING, settle_range
from pipeline.data.moved import check_continued, tell_moved
from pipeline.data.sample_ids import Key, KnownSamples
from pipeline.data.splits import assign_missing_splits
from pipeline.data.usable_counts import check_share, tell_commonest
from pipeline.engine.progress import Progress
from pipeline.pixels.bit_depth import ValueRange
from pipeline.pixels.decode import Unusable, decode_all, tell_remarks
from pipeline.pixels.display_images import Original, by_sample
from pipeline.pixels.survey import count_crops
from pipeline.settings import Settings
from pipeline.source.columns.metadata import metadata_names
from pipeline.source.errors import UnusableSource
from pipeline.source.listing import ListedImage, Listing
from pipeline.source.printable import show
from pipeline.source.understanding.settle import read_assumed, settle, to_rows
from pipeline.source.understanding.understand import SourcePredictions, Understanding

OTHER = "other"
"""Value of a class that a grouping does not name."""


@dataclass(frozen=True)
class _Images:
    """The usable images, and name and reason of each unusable one."""

    entries: list[ListedImage]
    images_NHWC: NDArray[np.uint8]
    originals: list[Original | None]
    refused: list[tuple[str, Unusable]]
    remarks: list[str]
    """What was noticed while they were decoded."""

    def keys(self) -> list[Key]:
        """What identifies each usable image: its name and the hash of its pixels."""
        pairs = zip(self.entries, self.images_NHWC, strict=True)
        return [(entry.name, hash_pixels(image, entry.name)) for entry, image in pairs]


def load_own_images(
    own: DatasetSettings, settings: Settings, lake: Lake, progress: Progress, *, accept: bool = False
) -> Dataset:
    """The dataset described by `own`; samples known to the lake keep their ids and splits.

    With `accept`, suggestions for what is unclear are taken. Raises `Unclear` if something is, and `UnusableSource` if
    the source cannot be read or cannot be trained on, or if a column name is reserved.
    """
    dataset_id = find_id(own, settings, lake)
    known = read_assumed(lake, dataset_id)
    check_continued(own, lake)
    moved = tell_moved(own, lake, dataset_id)
    _say(progress, moved)
    answers = [one for one in known if one.setting != SETTING]
    settled = settle(own, answers, settings.cache_dir, progress.say, accept=accept, where="the settings file")
    source, own = settled.understanding, settled.understanding.own
    _check_names(own, source)
    _check_usable(own, settings, source.listing.images, source.listing.refused)
    depth = settle_range([entry.image for entry in source.listing.images if entry.image is not None], known)
    known_samples = KnownSamples.read(lake, dataset_id)
    images = _decode(source.listing, own, settings, known_samples, depth.value_range, progress)
    _check_usable(own, settings, images.entries, images.refused)
    classes = _find_classes(source, images)
    label, keys = _to_indices([entry.label for entry in images.entries], classes), images.keys()
    groups = _groups_of(source, images.entries)
    split = _split(label, images, [known_samples.split.get(key) for key in keys], groups, own, settings.split_seed)
    rows = _choose(label, split, np.array([key in known_samples.sample_id for key in keys]), settings)
    sample_id = known_samples.assign_ids([keys[i] for i in rows])
    order, sample_id = rows[np.argsort(sample_id)], np.sort(sample_id)
    source_rows = [images.entries[i].row for i in order]
    external = _external(source.predictions, source_rows, sample_id) if source.predictions else None
    remarks = [
        *depth.remarks,
        *_tell_found(source, images, classes),
        *tell_few(label, split, classes, predicted=bool(own.predictions), min_group_size=settings.min_group_size),
        *(_tell_few_embedded(external) if external else []),
    ]
    _say(progress, [*_tell_counts(own, images, len(order), len(classes)), *remarks])
    return Dataset(
        dataset_id=dataset_id,
        name=name_of(own),
        classes=classes,
        groups=_groupings(own, source.classes, classes),
        sample_id=sample_id,
        images_NHWC=images.images_NHWC[order],
        label=label[order],
        split=split[order],
        source_name=[keys[i][0] for i in order],
        quarantine=_quarantine(images),
        usable=len(keys),
        metadata={name: column.gather(source_rows) for name, column in source.metadata.items()},
        external=external,
        originals=by_sample(sample_id, [images.originals[i] for i in order]),
        understood=[*moved, *remarks],
        assumed=to_rows([*settled.assumed, *depth.to_assumed()]),
    ).with_hashes([keys[i][1] for i in order])


def _say(progress: Progress, sentences: Iterable[str]) -> None:
    for sentence in sentences:
        progress.say(sentence)


def _tell_counts(own: DatasetSettings, images: _Images, kept: int, classes: int) -> list[str]:
    """How many images are used, how many cannot be, and the commonest reason."""
    noun = "images" if images.images_NHWC.size else "rows"
    counts = f"{kept:,} of {len(images.entries):,} {noun} of {classes:,} {'class' if classes == 1 else 'classes'}"
    why = [f"{tell_commonest(images.refused)}."] if images.refused else []
    return [f"{name_of(own)}: {counts}; {len(images.refused):,} could not be used.", *why]


def _check_usable(
    own: DatasetSettings, settings: Settings, usable: list[ListedImage], refused: list[tuple[str, Unusable]]
) -> None:
    """Raises `UnusableSource` if too few images can be used, or too many cannot."""
    check_enough(own, [entry.label for entry in usable], refused, checkpoint=settings.checkpoint)
    check_share(refused, len(usable), own)


def _to_indices(labels: list[str | None], classes: list[str]) -> NDArray[np.int64]:
    """Labels as positions of classes, -1 for none."""
    class_index = {name: i for i, name in enumerate(classes)}
    return np.array([-1 if label is None else class_index[label] for label in labels], dtype=np.int64)


def _tell_found(source: Understanding, images: _Images, classes: list[str]) -> list[str]:
    """What was understood, left aside, noticed while decoding, and which classes are lost."""
    remarks = [*source.listing.notes.remarks, *images.remarks]
    if asides := source.listing.notes.tell_asides():
        remarks.append(f"Left aside: {asides}.")
    if absent := [name for name in source.classes if name not in classes]:
        remarks.append(f"No image of {len(absent):,} classes can be used, such as {show(absent[0])!r}.")
    return remarks


def _find_classes(source: Understanding, images: _Images) -> list[str]:
    """The classes that usable images have; all of them if predictions have a number for each."""
    found = {entry.label for entry in images.entries}
    return source.classes if source.predictions else [name for name in source.classes if name in found]


def _external(predictions: SourcePredictions, rows: list[int], sample_id: NDArray[np.int64]) -> ExternalPredictions:
    """The predictions at some rows of the source, which belong to the samples."""
    embedding_ND = predictions.embedding_ND[rows]
    has_embedding = predictions.embedded_N[rows] if embedding_ND.shape[1] else np.zeros(len(rows), np.bool_)
    return ExternalPredictions(sample_id, predictions.logits_NK[rows], embedding_ND, has_embedding)


def _tell_few_embedded(external: ExternalPredictions) -> list[str]:
    count = int(external.has_embedding_N.sum())
    if not count or external.embedded(external.sample_id).any():
        return []
    return [
        f"Only {count:,} of {len(external.sample_id):,} samples have an embedding: no map, clusters and neighbours are "
        f"computed, as at least {FEWEST_EMBEDDED} are needed."
    ]


def _groups_of(source: Understanding, entries: list[ListedImage]) -> list[str | None] | None:
    """The group of each usable image."""
    if source.groups is None:
        return None
    group_of = {entry.name: group for entry, group in zip(source.listing.images, source.groups, strict=True)}
    return [group_of[entry.name] for entry in entries]


def _decode(
    listing: Listing,
    own: DatasetSettings,
    settings: Settings,
    known_samples: KnownSamples,
    value_range: ValueRange | None,
    progress: Progress,
) -> _Images:
    """Decode every image of the listing, whose names are entries."""
    entries = listing.images
    refused: list[tuple[str, Unusable]] = []
    pictures = [entry.image for entry in entries if entry.image is not None]
    if not pictures:
        no_pixels = np.empty((len(entries), 0, 0, 3), np.uint8)
        refused = give_unique_names(listing.refused, {entry.name for entry in entries})
        return _Images(entries, no_pixels, [None] * len(entries), refused, [])
    images_NHWC = np.empty((len(entries), own.size, own.size, 3), np.uint8)
    usable: list[ListedImage] = []
    originals: list[Original | None] = []
    sizes: list[tuple[int, int]] = []
    counts: Counter[str] = Counter()
    with progress.task("images", len(entries)) as task:
        decoded = decode_all(
            pictures,
            own.size,
            display_side=own.display_side,
            is_new=lambda i, pixels: (
                (entries[i].name, hash_pixels(pixels, entries[i].name)) not in known_samples.sample_id
            ),
            threads=settings.threads,
            done=task.advance,
            value_range=value_range,
        )
        for entry, image in zip(entries, decoded, strict=True):
            if isinstance(image, Unusable):
                refused.append((entry.name, image))
            else:
                images_NHWC[len(usable)] = image.pixels
                usable.append(entry)
                originals.append(image.original)
                sizes.append(image.size)
                counts.update(image.remarks)
    names = {entry.name for entry in usable}
    remarks = [*tell_remarks(counts), *count_crops(np.array(sizes).reshape(-1, 2), own.size)]
    return _Images(
        usable, images_NHWC[: len(usable)], originals, give_unique_names([*listing.refused, *refused], names), remarks
    )


def give_unique_names(refused: list[tuple[str, Unusable]], used_names: set[str]) -> list[tuple[str, Unusable]]:
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
    images: _Images,
    known_splits: list[str | None],
    groups: list[str | None] | None,
    own: DatasetSettings,
    seed: int,
) -> NDArray[np.str_]:
    """The split of each image. Raises `UnusableSource` if a required split has no labelled image.

    With external predictions, the splits named by the source are used as they are: we do not decide what was trained
    on. They need no labels at all, but if there are some, test images are among them.
    """
    if not own.predictions and label.max() < 1:  # fewer than two classes
        return np.full(len(label), "unlabeled")
    source_splits = [entry.split for entry in images.entries]
    needed: tuple[str, ...] = ("train", "validation", "test")
    if own.predictions:
        needed = ("test",) if (label >= 0).any() else ()
    shares = {"test_share": own.test_share, "validation_share": own.validation_share}
    split = (
        np.array(source_splits)
        if own.predictions
        else assign_missing_splits(label, source_splits, known_splits, groups=groups, **shares, seed=seed)
    )
    advice = "assign some to this split, or change test_share and validation_share in [dataset]"
    if own.predictions:
        advice = "assign some to this split, or leave their split empty"
    for name in needed:
        if not (split == name).any():
            raise UnusableSource(
                f"The dataset {own.source} has no labelled image in the split {name}: label more, {advice}.",
                images.refused,
            )
    if not own.predictions:
        check_training(own, label, split, images.refused)
    return split


def _check_names(own: DatasetSettings, source: Understanding) -> None:
    """Raises `UserError` if a grouping or metadata column has the name of another column."""
    names = [*own.groups, *source.metadata]
    clashes = [name for name in names if name in reserved_columns() or names.count(name) > 1]
    if len(source.metadata) < len(metadata_names(own)):
        raise UserError(
            f"Two columns in metadata = {own.metadata} share a name apart from spaces and punctuation: rename one."
        )
    if clashes:
        raise UserError(f"[dataset]: {clashes[0]!r} is already a column of the samples: choose another name.")


def _groupings(own: DatasetSettings, known: list[str], classes: list[str]) -> dict[str, dict[str, str]]:
    """Grouping -> class -> value. Raises `UserError` if a grouping names a class that is not among the known ones."""
    groupings = {}
    for name, values in own.groups.items():
        value_of = {label: value for value, labels in values.items() for label in labels}
        if strangers := value_of.keys() - set(known):
            raise UserError(f"[dataset.groups.{name}] names {min(strangers)!r}, which is not a class of {own.source}.")
        groupings[name] = {label: value_of.get(label, OTHER) for label in classes}
    return groupings
