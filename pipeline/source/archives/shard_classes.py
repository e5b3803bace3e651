"""Names of integer classes from a file beside the shards of a WebDataset."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.source.listing import Listing

LISTS = ("classnames.txt", "class_names.txt", "classes.txt", "labels.txt")
INFO = "dataset_info.json"
MAX_FILE = 2**20


def find_names(folders: Iterable[Path]) -> tuple[Path, list[str]] | None:
    """The first file with names of classes in one of the folders, one name a line, and the names."""
    for folder in folders:
        for name in (*LISTS, INFO):
            text = _read(folder / name)
            names = _from_info(text) if name == INFO else [line.strip() for line in text.strip().splitlines()]
            if names and all(names) and len(set(names)) == len(names):
                return folder / name, names
    return None


def apply_names(listing: Listing, found: tuple[Path, list[str]] | None) -> None:
    """Call integer labels by their names if there is one for each; otherwise say why not."""
    labels = {entry.label for entry in listing.images if entry.label is not None}
    if not found or not labels or not all(label.isdecimal() for label in labels):
        return
    path, names = found
    numbers = [int(label) for label in labels]
    if max(numbers) >= len(names):
        listing.notes.remarks.append(
            f"{path.name} has {len(names):,} names, which count from 0, but there is a label {max(numbers):,}: "
            "classes are called by their numbers."
        )
        return
    listing.class_names = names
    listing.images = [
        entry if entry.label is None else replace(entry, label=names[int(entry.label)]) for entry in listing.images
    ]
    listing.notes.remarks.append(f"The names of the {len(names):,} classes are those of {path.name}.")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig") if path.is_file() and path.stat().st_size <= MAX_FILE else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _from_info(text: str) -> list[str]:
    """The names of the only ClassLabel among the features."""
    try:
        features: Any = json.loads(text)["features"]
        found = [kind["names"] for kind in features.values() if isinstance(kind, dict) and "names" in kind]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return [str(name) for name in found[0]] if len(found) == 1 and isinstance(found[0], list) else []
