"""List the images of a folder with the labels and splits that its folders name."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings
from pipeline.pixels.decode import Unusable
from pipeline.source.folders.annotations import Table, find_tables, read_labels
from pipeline.source.folders.copies import find_copies
from pipeline.source.folders.kinds import RAW, find_kind, stem, suffix
from pipeline.source.folders.layout import Layout, read_layout
from pipeline.source.folders.masks import find_masks
from pipeline.source.folders.tree import Tree
from pipeline.source.folders.walk import Folder, Parts, walk
from pipeline.source.listing import ListedImage, Listing
from pipeline.source.notes import Notes


@dataclass(frozen=True)
class _Content:
    """The folders that hold images, with only these; the lists that may hold labels; what was not read."""

    folders: list[Folder]
    tables: dict[Parts, list[Table]]
    refused: list[tuple[str, Unusable]]
    asides: Notes


def list_folder(folder: Path, dataset: DatasetSettings) -> Listing:
    """The images below a folder, sorted by path, with the classes and splits that their folders name.

    A label is the name of a folder as written; it and the split (train, validation, test or unlabeled) are None where
    no folder says them. Doubts about `class_level` and `splits` come with the listing under the suggested values. No
    image is opened. Raises `UserError` if the folder does not exist, or `class_level` is below all folders.
    """
    content = _read(folder)
    layout = read_layout({folder.parts: len(folder.files) for folder in content.folders}, dataset)
    images, parts = _list_images(content.folders, layout)
    notes = Notes()
    notes.extend(layout.notes)
    if dataset.class_level != 0:
        notes.extend(read_labels(images, parts, content.tables))
    notes.extend(content.asides)
    images.sort(key=lambda image: image.name.split("/"))
    return Listing(images=images, refused=content.refused, notes=notes)


def list_paths(folder: Path) -> list[Path]:
    """The images below a folder and the lists that may hold their labels: a change of any may change its listing."""
    content = _read(folder)
    images = [inner.path_of(file) for inner in content.folders for file in inner.files]
    return images + [table.path for tables in content.tables.values() for table in tables]


def list_tables(folder: Path) -> list[Path]:
    """The lists below a folder that may hold labels of its images, nearest to the folder first."""
    return [table.path for _, tables in sorted(_read(folder).tables.items(), key=_depth) for table in tables]


def _depth(found: tuple[Parts, list[Table]]) -> tuple[int, Parts]:
    return len(found[0]), found[0]


def _read(source: Path) -> _Content:
    if not source.is_dir():
        raise UserError(f"The dataset {source} is not a folder that exists: check source in [dataset].")
    every: list[Folder] = []
    refused: list[tuple[str, Unusable]] = []
    for found in walk(source):
        if isinstance(found, Folder):
            every.append(found)
        else:
            refused.append(found)
    asides = _Asides()
    folders = _without_masks(list(_without_other_files(every, asides)), asides)
    copies = find_copies(folders, Tree({folder.parts: len(folder.files) for folder in folders}))
    for folder in folders:
        if folder.parts in copies:
            asides.add("copies of images in a folder inside", folder, folder.files)
    folders = [folder for folder in folders if folder.parts not in copies]
    tables = find_tables(every, {folder.parts: folder for folder in folders})
    return _Content(folders, tables, refused, asides.notes())


def _without_other_files(folders: Iterable[Folder], asides: "_Asides") -> Iterator[Folder]:
    """The folders that hold images, with only these."""
    for folder in folders:
        kinds = [find_kind(file) for file in folder.files]
        images = [file for file, kind in zip(folder.files, kinds, strict=True) if kind is None]
        for file, kind in zip(folder.files, kinds, strict=True):
            if kind:
                asides.add(kind, folder, [file])
        if raw := [file for file in images if suffix(file) in RAW]:
            stems = {stem(file) for file in images if suffix(file) not in RAW}
            doubled = {file for file in raw if stem(file) in stems}
            asides.add("raw photos beside a picture of the same name", folder, sorted(doubled))
            images = [file for file in images if file not in doubled]
        if images:
            yield folder.having(images)


def _without_masks(folders: Sequence[Folder], asides: "_Asides") -> list[Folder]:
    masks = find_masks(folders)
    kept = []
    for folder in folders:
        masked = masks.get(folder.parts, set())
        asides.add("segmentation masks", folder, sorted(masked))
        if files := [file for file in folder.files if file not in masked]:
            kept.append(folder.having(files))
    return kept


def _list_images(folders: Iterable[Folder], layout: Layout) -> tuple[list[ListedImage], list[Parts]]:
    """The images, and the folder of each."""
    images: list[ListedImage] = []
    parts: list[Parts] = []
    for folder in folders:
        label, split = layout.label[folder.parts], layout.split[folder.parts]
        images += [ListedImage(folder.name_of(file), folder.path_of(file), label, split) for file in folder.files]
        parts += [folder.parts] * len(folder.files)
    return images, parts


class _Asides:
    """The files left aside, counted by kind, with the first one of each."""

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, kind: str, folder: Folder, files: Sequence[str]) -> None:
        if files:
            self._kinds[kind] += len(files)
            self._examples.setdefault(kind, folder.name_of(files[0]))

    def notes(self) -> Notes:
        notes = Notes()
        notes.set_aside(self._kinds, self._examples)
        return notes
