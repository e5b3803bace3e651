"""The id and name of a dataset from a custom source: as given, by its name, or else by where it lies."""

import hashlib
import json
import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Any

from lake.storage.store import Lake
from pipeline.config.dataset import DatasetSettings, PredictionSettings
from pipeline.settings import Settings
from pipeline.source.answers import to_answers, without_answers


def identify(own: DatasetSettings, settings: Settings) -> str:
    """The id of the source and its split, not of its content: it stays the same when images are added.

    Settings that only say what labels and files mean are no part of it. An id in the settings is taken as it is.
    """
    if own.id:
        return own.id
    where = None if own.name else str(own.source if isinstance(own.source, str) else own.source.absolute())
    facts: list[Any] = [where, _columns(own), settings.samples, settings.split_seed]
    facts += [own.group_column] if own.group_column else []
    ascii_name = unicodedata.normalize("NFKD", name_of(own)).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:40].strip("-")
    return f"{words or 'own'}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:10]}"


def find_id(own: DatasetSettings, settings: Settings, lake: Lake) -> str:
    """The id of the source: as a run has it that assumed what these settings now say, otherwise that of `identify`."""
    dataset_id, runs = identify(own, settings), lake.runs()
    if own.id or runs.is_empty() or dataset_id in runs["dataset_id"]:
        return dataset_id
    for run in runs.unique("dataset_id", keep="first", maintain_order=True).rows(named=True):
        before = without_answers(own, to_answers(run["assumed"] or []))
        if identify(before, settings) == run["dataset_id"]:
            return str(run["dataset_id"])
    return dataset_id


def data_name(settings: Settings) -> str:
    """The display name of the dataset of the settings."""
    return name_of(settings.dataset) if settings.dataset else "CIFAR-10"


def name_of(own: DatasetSettings) -> str:
    """The display name: that of the settings, otherwise that of the file or folder."""
    source = PurePosixPath(own.source) if isinstance(own.source, str) else own.source.absolute()
    is_folder = isinstance(source, Path) and source.is_dir()
    return own.name or (source.name if is_folder else source.stem) or "images"


def _columns(own: DatasetSettings) -> dict[str, Any]:
    """The settings that tell datasets of one source apart, with the names that columns have by default."""
    return {
        "name": own.name,
        "size": own.size,
        "image_column": own.image_column or "image",
        "label_column": own.label_column or "label",
        "split_column": own.split_column or "split",
        "name_column": own.name_column or "name",
        **({"predictions": _predictions(own.predictions)} if own.predictions else {}),
        "test_share": own.test_share,
        "validation_share": own.validation_share,
    }


def _predictions(own: PredictionSettings) -> dict[str, Any]:
    return {
        "column": own.column or "probabilities",
        "logits": bool(own.logits),
        "classes": own.classes,
        "embedding_column": own.embedding_column or "embedding",
    }
