"""The dataset that every stage works on, and CIFAR-10 loaded and split as one.

`pipeline.data.load` selects the dataset to load; no stage knows which one it is.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.tables import make_frame
from lake.errors import UserError
from pipeline.data import cifar10
from pipeline.engine.hashing import hash_samples
from pipeline.engine.progress import Progress
from pipeline.pixels.display_images import Original
from pipeline.settings import Settings

HELD_OUT = ("validation", "test", "unlabeled")
FEWEST_EMBEDDED = 20
"""Number of samples with an embedding below which no map, clusters and neighbours are computed."""


@dataclass(frozen=True)
class ExternalPredictions:
    """External predictions, by ascending `sample_id` [N]: K logits and D features; D is 0 without embeddings."""

    sample_id: NDArray[np.int64]
    logits_NK: NDArray[np.float32]
    embedding_ND: NDArray[np.float32]
    """Zeros for samples without an embedding."""
    has_embedding_N: NDArray[np.bool_]

    def at(self, sample_id: NDArray[np.int64]) -> "ExternalPredictions":
        """The predictions of some of the samples."""
        rows = np.searchsorted(self.sample_id, sample_id)
        return ExternalPredictions(sample_id, self.logits_NK[rows], self.embedding_ND[rows], self.has_embedding_N[rows])

    def embedded(self, sample_id: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the embedding of each of the samples is used; if fewer than `FEWEST_EMBEDDED` have one, none is."""
        has_embedding = self.has_embedding_N[np.searchsorted(self.sample_id, sample_id)]
        enough = self.embedding_ND.shape[1] > 0 and has_embedding.sum() >= FEWEST_EMBEDDED
        return has_embedding if enough else np.zeros(len(sample_id), np.bool_)

    def content(self) -> str:
        """Hash of all arrays."""
        arrays = (self.sample_id, self.logits_NK, self.embedding_ND, self.has_embedding_N)
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]


@dataclass(frozen=True)
class Dataset:
    """Images with labels and splits; row i of every array belongs to sample `sample_id[i]`, in ascending order."""

    dataset_id: str
    """Identifies the source. It stays the same when images are added or labels change; `content` reflects those."""
    name: str
    classes: list[str]
    groups: dict[str, dict[str, str]]
    """Grouping -> class -> value, for example superclass -> ship -> vehicle."""
    sample_id: NDArray[np.int64]
    images_NHWC: NDArray[np.uint8]
    """Height and width are 0 for external predictions without images."""
    label: NDArray[np.int64]
    """Class index; -1 if the label is withheld."""
    split: NDArray[np.str_]
    source_name: list[str]
    quarantine: pl.DataFrame = field(default_factory=lambda: make_frame("quarantine", []))
    """The table `quarantine` without the column dataset_id: entries of the source that are not samples."""
    usable: int | None = None
    """Number of entries of the source that can be used, including those that `samples` leaves out; None if not counted.
    """

    metadata: dict[str, pl.Series] = field(default_factory=dict)
    """Metadata columns of the source: text, Float64 or Int64; row i belongs to sample i."""
    external: ExternalPredictions | None = None
    """External predictions, used instead of our own model; may cover further samples."""

    originals: dict[int, Original] = field(default_factory=dict)
    """By `sample_id`, the original of each image that is new to the lake and was not already such a square."""

    understood: list[str] = field(default_factory=list)
    """How the source was understood where it could be otherwise, and what was noticed of its images: sentences."""
    assumed: list[dict[str, str]] = field(default_factory=list)
    """Suggestions taken for what was unclear, as the column `assumed` of `runs` holds them."""

    def __len__(self) -> int:
        return len(self.sample_id)

    @property
    def metadata_kinds(self) -> dict[str, str]:
        """Metadata column -> "text", "number" or "integer"."""
        return {name: _kind(column) for name, column in self.metadata.items()}

    def rows(self, *splits: str) -> NDArray[np.int64]:
        """Row indices of the named splits."""
        return np.flatnonzero(np.isin(self.split, splits))

    @property
    def pictured(self) -> bool:
        """Whether the dataset has images."""
        return self.images_NHWC.size > 0

    @cached_property
    def sha256(self) -> list[str]:
        """Pixel hash of each sample; see `hash_pixels`."""
        return [hash_pixels(image, name) for image, name in zip(self.images_NHWC, self.source_name, strict=True)]

    def with_hashes(self, sha256: list[str]) -> "Dataset":
        """The same dataset with known hashes, so that its images need not be read to compute them."""
        dataset = replace(self)
        dataset.__dict__["sha256"] = (
            sha256  # where `cached_property` stores it; a dataset derived by `replace` computes its own
        )
        return dataset

    def content(self, *splits: str) -> str:
        """Hash of everything known about the samples of some splits, or of all splits; equal hashes mean equal data."""
        rows = self.rows(*splits) if splits else np.arange(len(self))
        names = [self.sha256[i] + self.source_name[i] for i in rows]
        columns = [self.sample_id[rows].tolist(), self.label[rows].tolist(), names, self.split[rows].tolist()]
        return hash_samples(self.classes, self.groups, columns)

    def besides(self) -> list[str]:
        """Hash of the metadata and the quarantine, which no per-sample value depends on; empty if there is neither."""
        if not self.metadata and self.quarantine.is_empty():
            return []
        rows = [*self.metadata, self._metadata_lists().to_list(), self.quarantine.rows()]
        return [hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]]

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The `samples` table: one row per sample, with null label and groups if the label is withheld."""
        names = [self.classes[i] if i >= 0 else None for i in self.label]
        groups = [
            [{"name": grouping, "value": values[name] if name else None} for grouping, values in self.groups.items()]
            for name in names
        ]
        return pl.DataFrame(
            {
                "dataset_id": self.dataset_id,
                "sample_id": self.sample_id,
                "split": self.split.tolist(),
                "label": pl.Series(names, dtype=pl.String),
                "groups": pl.Series(groups, dtype=pl.List(pl.Struct({"name": pl.String, "value": pl.String}))),
                "source_name": self.source_name,
                "sha256": self.sha256,
                "metadata": self._metadata_lists(),
            }
        )

    def _metadata_lists(self) -> pl.Series:
        dtype = pl.List(pl.Struct({"name": pl.String, "value": pl.String, "number": pl.Float64}))
        if not self.metadata:
            return pl.repeat(None, len(self), dtype=dtype, eager=True)
        structs = [
            pl.struct(
                name=pl.lit(name),
                value=pl.lit(None if column.dtype.is_float() else column.cast(pl.String), pl.String),
                number=pl.lit(column.cast(pl.Float64) if column.dtype.is_numeric() else None, pl.Float64),
            )
            for name, column in self.metadata.items()
        ]
        return pl.select(pl.concat_list(structs)).to_series().cast(dtype)


def _kind(column: pl.Series) -> str:
    if column.dtype.is_integer():
        return "integer"
    return "number" if column.dtype.is_float() else "text"


def hash_pixels(image_HWC: NDArray[np.uint8], name: str) -> str:
    """SHA-256 of the pixels, or of the name if a sample has no image."""
    return hashlib.sha256(image_HWC.tobytes() or name.encode()).hexdigest()


def load_cifar10(settings: Settings, progress: Progress) -> Dataset:
    """CIFAR-10, split and subsampled. Raises `UserError` if no source verifies."""
    images_NHWC, label = cifar10.load(settings.data_dir, settings.cache_dir, progress)
    official_test = np.arange(len(label)) >= cifar10.TRAIN_SIZE
    split = assign_splits(label, official_test, unlabeled=settings.unlabeled, seed=settings.split_seed)
    keep = choose_samples(label, split, limit=settings.samples, seed=settings.split_seed)
    label = np.where(split == "unlabeled", -1, label)
    source = [f"test/{i - cifar10.TRAIN_SIZE}" if t else f"train/{i}" for i, t in enumerate(official_test)]
    return Dataset(
        dataset_id=_dataset_id(settings),
        name="CIFAR-10",
        classes=cifar10.CLASSES,
        groups=cifar10.GROUPS,
        sample_id=keep,
        images_NHWC=images_NHWC[keep],
        label=label[keep],
        split=split[keep],
        source_name=[source[i] for i in keep],
    )


def assign_splits(
    label: NDArray[np.int64], official_test: NDArray[np.bool_], *, unlabeled: int, seed: int
) -> NDArray[np.str_]:
    """Split name per sample.

    A stratified tenth of the official training set is validation; `unlabeled` of the test samples are unlabeled.
    """
    split = np.where(official_test, "test", "train").astype("<U10")
    rng = np.random.default_rng(seed)
    train, test = np.flatnonzero(~official_test), np.flatnonzero(official_test)
    if unlabeled > len(test) // 2:
        raise UserError(f"unlabeled = {unlabeled} would withhold more than half of the {len(test)} test labels.")
    split[stratified(train, label, len(train) // 10, rng)] = "validation"
    split[stratified(test, label, unlabeled, rng)] = "unlabeled"
    return split


def choose_samples(
    label: NDArray[np.int64], split: NDArray[np.str_], *, limit: int | None, seed: int
) -> NDArray[np.int64]:
    """Row indices to keep, ascending: all, or about `limit` of them.

    A limited set has 50 % train, 10 % validation, 35 % test and 5 % unlabeled samples, each stratified by class.
    """
    rows = np.arange(len(label))
    if limit is None or limit >= len(label):
        return rows
    rng = np.random.default_rng(seed)
    shares = {"train": 0.5, "validation": 0.1, "test": 0.35, "unlabeled": 0.05}
    selections = [stratified(rows[split == name], label, round(limit * share), rng) for name, share in shares.items()]
    return np.sort(np.concatenate(selections))


def stratified(
    rows: NDArray[np.int64], label: NDArray[np.int64], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """`count` of the rows, stratified by class, by interleaving the shuffled rows of each class."""
    shuffled = rng.permutation(rows)
    rank = np.empty(len(rows))
    for value in np.unique(label[shuffled]):
        members = np.flatnonzero(label[shuffled] == value)
        rank[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return shuffled[np.argsort(rank, kind="stable")[:count]]


def _dataset_id(settings: Settings) -> str:
    """Identifies the images and their split."""
    facts = [cifar10.SHA1, settings.unlabeled, settings.samples, settings.split_seed]
    return "cifar10-" + hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:10]
