"""Folders of files that are listed and never opened, and what is listed of them."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.config.dataset import DatasetSettings
from pipeline.source.folders import list_folder
from pipeline.source.listing import Listing


def write(root: Path, folders: Iterable[str], *, each: int = 4, suffix: str = ".jpg") -> Path:
    """`each` files in every folder; they are listed, never opened."""
    for folder in folders:
        for number in range(each):
            path = root / folder / f"{number}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.fsencode(path))
    return root


def cross(*levels: str) -> list[str]:
    """The folders of all combinations: cross("a b", "c d") is a/c, a/d, b/c, b/d."""
    folders = [""]
    for level in levels:
        folders = [f"{folder}/{name}".lstrip("/") for folder in folders for name in level.split()]
    return folders


def listed(root: Path, **settings: Any) -> Listing:
    return list_folder(root, DatasetSettings(source=root, **settings))


def said(listing: Listing) -> dict[str, tuple[str | None, str | None]]:
    """The split and the label of the images of each folder."""
    return {image.name.rpartition("/")[0]: (image.split, image.label) for image in listing.images}
