"""What every reader of a source returns: its images, which are not decoded yet, and the columns beside them."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import polars as pl

from pipeline.pixels.unusable import Unusable
from pipeline.source.notes import Notes


class Encoded(Protocol):
    """An image that is neither a file nor bytes in memory: a member of an archive, an address, an array."""

    def read(self) -> bytes | Unusable:
        """The encoded image; called from several threads."""


ImageRef = bytes | Path | Encoded


@dataclass(frozen=True)
class ListedImage:
    """One image or row named by the source."""

    name: str
    """Unique in a source that is in order; a path relative to the source where it has one."""
    image: ImageRef | None
    """None if the source has only predictions."""
    label: str | None
    """As written by the source; None if it does not say."""
    split: str | None
    """As written by the source; None if it does not say."""
    row: int = -1
    """Row index into the columns of the listing; -1 if it has none."""

    def at_row(self, row: int) -> "ListedImage":
        """The same image with another row."""
        return replace(self, row=row)


@dataclass
class Listing:
    """The content of a source: images in its order, unusable entries by name, columns, and notes."""

    images: list[ListedImage] = field(default_factory=list)
    refused: list[tuple[str, Unusable]] = field(default_factory=list)
    table: pl.DataFrame = field(default_factory=pl.DataFrame)
    """All further columns of a table that are needed or may be: metadata, group, predictions, embeddings."""
    is_numbered: bool = False
    """Whether images are called by the numbers of their rows, which are no names to join by."""
    used: list[str] = field(default_factory=list)
    """The columns of `table` that hold images, labels, splits or names."""
    split_column: str = ""
    """The column that names the splits, if one does."""
    decimal_commas: bool = False
    """Whether numbers in texts of `table` have a decimal comma."""
    class_names: list[str] | None = None
    """The classes in the order that the source declares, such as ClassLabel names; `label` holds names then."""
    kind: str = "folder of images"
    """What the source is, for people."""
    files: list[Path] = field(default_factory=list)
    """Files besides the images whose change changes the listing, such as the table."""
    notes: Notes = field(default_factory=Notes)


def readable(name: str) -> str:
    """A name as text; bytes that are not valid UTF-8 are written as \\xff."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
