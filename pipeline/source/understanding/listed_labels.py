"""Labels of a folder whose folders name no class, from the tables among its images.

A table is taken if its rows name at least half of the images, or if it is one of several of the same columns that
together do and name no image twice, as `train.csv` and `test.csv` do. What else they say, such as the patient of an
image, is taken as from a table that is the source itself.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings
from pipeline.source.columns.tables import list_table
from pipeline.source.errors import NoColumn
from pipeline.source.folders import list_folder, list_tables, read_pairs
from pipeline.source.folders.kinds import find_kind
from pipeline.source.folders.names import Look, enumerate_some, look_of
from pipeline.source.listing import ListedImage, Listing
from pipeline.source.meaning.split_names import find_split
from pipeline.source.notes import Aside, Doubt, Notes

MOST_TABLES = 20
"""Tables that are opened; more than that belong to single images."""


@dataclass(frozen=True)
class _Candidate:
    """A table with the labels of images of the folder."""

    path: Path
    name: str
    """The path of the table relative to the folder."""
    listing: Listing
    rows: dict[int, ListedImage]
    """What the table says of an image, by the position of the image in the listing of the folder."""
    contradictory: int = 0
    """Images of several labels, which are not among the rows."""

    @property
    def split(self) -> str | None:
        """The split that the name of the table means, as that of train.csv."""
        return find_split(self.path.stem)


def label_by_tables(listing: Listing, source: Path, own: DatasetSettings, cache: Path) -> Listing:
    """The listing of a folder with the labels that tables in it give, if its folders name no class.

    Folders name none if no image, or all, have the same label, or if they are called as parts, dates and the like.
    Every image stays; what no table names has no label. A table beside folders of classes only labels a split that has
    no label yet, with these classes, as a table of a test split without folders does.
    """
    if own.predictions or own.class_level is not None or not listing.images:
        return listing
    has_classes = _names_classes(listing)
    without = _find_splits_without_labels(listing) if has_classes else {}
    paths = list_tables(source) if without or not has_classes else []
    if not 0 < len(paths) <= MOST_TABLES:
        return listing
    if has_classes:
        return _label_splits(listing, without, paths, source, own, cache)
    bare = list_folder(source, own.model_copy(update={"class_level": 0}))
    candidates = [found for path in paths if (found := _look_into(path, source, bare.images, own, cache))]
    chosen = _choose(candidates, len(bare.images))
    if not chosen:
        names = [path.relative_to(source).as_posix() for path in paths if path.suffix.lower() in (".csv", ".tsv")]
        return _hint(listing, [candidate.name for candidate in candidates] or names)
    return _merge(bare, chosen, listing.files)


def _names_classes(listing: Listing) -> bool:
    labels = {image.label for image in listing.images if image.label is not None}
    return len(labels) > 1 and look_of(labels) is not Look.OTHER


def _find_splits_without_labels(listing: Listing) -> dict[str, set[int]]:
    """The positions of the images of each split of which none has a label."""
    rows_of: dict[str, set[int]] = {}
    for number, image in enumerate(listing.images):
        if image.split and image.split != "unlabeled":
            rows_of.setdefault(image.split, set()).add(number)
    labelled = {image.split for image in listing.images if image.label is not None}
    return {split: rows for split, rows in rows_of.items() if split not in labelled}


def _label_splits(
    listing: Listing, without: dict[str, set[int]], paths: list[Path], source: Path, own: DatasetSettings, cache: Path
) -> Listing:
    """The listing with the labels of splits of which a table names at least half with classes of the others."""
    images = list(listing.images)
    classes = {image.label for image in images if image.label}
    remarks = list[str]()
    for path in paths:
        found = _look_into(path, source, listing.images, own, cache, classes)
        for split, numbers in without.items() if found and not found.contradictory else ():
            named = {number: row.label for number, row in found.rows.items() if number in numbers} if found else {}
            if 2 * len(named) < len(numbers) or not set(named.values()) <= classes:
                continue
            for number, label in named.items():
                images[number] = replace(images[number], label=label)
            name = path.relative_to(source).as_posix()
            remarks.append(
                f"{name} names the classes of {len(named):,} of the {len(numbers):,} images of the split {split}."
            )
        without = {
            split: numbers for split, numbers in without.items() if all(images[n].label is None for n in numbers)
        }
    listing.notes.extend(Notes(remarks=remarks))
    return replace(listing, images=images)


def _look_into(
    path: Path,
    source: Path,
    images: Sequence[ListedImage],
    own: DatasetSettings,
    cache: Path,
    classes: Collection[str] = (),
) -> _Candidate | None:
    """The table if it gives at least two labels to images of the folder; None for every other table.

    With `classes`, its labels are those of the only column that holds nothing else, if there is one.
    """
    if find_split(path.stem) == "unlabeled":  # the sample of a submission, whose labels are made up
        return None
    try:
        listing = list_table(path, own.model_copy(update={"source": path}), cache)
    except NoColumn:
        return None
    except UserError:
        listing = _list_pairs(path, images)
    column = _find_class_column(listing.table, classes) if own.label_column is None else None
    position = {image.image: number for number, image in enumerate(images)}
    rows: dict[int, ListedImage] = {}
    labels: dict[int, set[str]] = {}
    for image in listing.images:
        image = replace(image, label=column[image.row]) if column is not None else image
        number = position.get(image.image) if isinstance(image.image, Path) else None
        if number is not None and image.label is not None:
            rows.setdefault(number, image)
            labels.setdefault(number, set()).add(image.label)
    several = [number for number, said in labels.items() if len(said) > 1]
    rows = {number: image for number, image in rows.items() if len(labels[number]) == 1}
    found = {(image.label or "").strip() for image in rows.values()}
    is_guessed = any(doubt.setting == "label_column" for doubt in listing.notes.doubts)
    is_one_of_several = is_guessed and not classes and found <= {"0", "1"}  # a column for each class
    if len(found) < 2 or is_one_of_several:
        return None
    return _Candidate(path, path.relative_to(source).as_posix(), listing, rows, len(several))


def _find_class_column(table: pl.DataFrame, classes: Collection[str]) -> pl.Series | None:
    """The only column of text of which all values are classes, and at least two different ones."""
    texts = [column.str.strip_chars() for column in table if column.dtype == pl.String]
    found = [text for text in texts if text.n_unique() > 1 and set(text.drop_nulls()) <= set(classes)]
    return found[0] if len(found) == 1 else None


def _list_pairs(path: Path, images: Sequence[ListedImage]) -> Listing:
    """The images that a list without names of columns names, with their labels; none if it has other content."""
    label_of = read_pairs(path, {number: image.name for number, image in enumerate(images)})
    if len(set(label_of.values())) * 2 > len(label_of):  # captions, or names
        return Listing()
    named = [images[number] for number in label_of]
    table = pl.DataFrame({"image": [image.name for image in named], "label": list(label_of.values())})
    pairs = enumerate(zip(named, label_of.values(), strict=True))
    listed = [replace(image, label=label, split=None, row=row) for row, (image, label) in pairs]
    return Listing(listed, table=table, used=["image", "label"])


def _choose(candidates: Sequence[_Candidate], images: int) -> list[_Candidate]:
    """The only table that names at least half of the images, or all if they are parts of one; otherwise none."""
    named = [number for candidate in candidates for number in candidate.rows]
    columns = {tuple(candidate.listing.table.columns) for candidate in candidates}
    if len(candidates) > 1 and len(set(named)) == len(named) and len(columns) == 1 and 2 * len(named) >= images:
        return list(candidates)
    large = [candidate for candidate in candidates if 2 * len(candidate.rows) >= images]
    return large if len(large) == 1 else []


def _hint(listing: Listing, names: list[str]) -> Listing:
    """The listing with a remark on the tables that may have the labels."""
    if names:
        which = names[0] if len(names) == 1 else f"one of {enumerate_some(names)}"
        listing.notes.remarks.append(f"No folder names a class: if {which} lists the labels, make it the source.")
    return listing


def _merge(bare: Listing, chosen: Sequence[_Candidate], files: list[Path]) -> Listing:
    """The images of the folder with what the tables say of them; images that none names come after all rows."""
    images, start = list(bare.images), 0
    for candidate in chosen:
        for number, said in candidate.rows.items():
            image = images[number]
            split = image.split or said.split or candidate.split
            images[number] = replace(image, label=said.label, split=split, row=start + said.row)
        start += len(candidate.listing.table)
    without = [number for number, image in enumerate(images) if image.row < 0]
    for number in without:
        images[number] = images[number].at_row(start)
        start += 1
    tables = [candidate.listing.table for candidate in chosen]
    return replace(
        bare,
        images=images,
        refused=[*bare.refused, *(entry for candidate in chosen for entry in candidate.listing.refused)],
        table=pl.concat([*tables, tables[0].clear(len(without))], how="vertical_relaxed"),
        used=chosen[0].listing.used,
        decimal_commas=any(candidate.listing.decimal_commas for candidate in chosen),
        files=files,
        notes=_notes(bare, chosen, len(images) - len(without)),
    )


def _without_used(asides: Sequence[Aside], used: Sequence[str]) -> list[Aside]:
    """The files left aside but for the tables that are used, which are files of one kind."""
    kind, left = find_kind(used[0]), list[Aside]()
    for aside in asides:
        fewer = replace(aside, count=aside.count - len(used)) if aside.kind == kind else aside
        example = f"beside {fewer.example}" if fewer.example in used else fewer.example
        left += [replace(fewer, example=example)] if fewer.count > 0 else []
    return left


def _notes(bare: Listing, chosen: Sequence[_Candidate], named: int) -> Notes:
    names = enumerate_some(candidate.name for candidate in chosen)
    verb = "names" if len(chosen) == 1 else "name"
    notes = Notes(remarks=[f"{names} {verb} the labels of {named:,} of the {len(bare.images):,} images."])
    notes.extend(bare.notes)
    notes.asides = _without_used(notes.asides, [candidate.name for candidate in chosen])
    if several := sum(candidate.contradictory for candidate in chosen):
        notes.remarks.append(f"Images of several labels in {names}, which are left without one: {several:,}.")
    doubts: dict[str, Doubt] = {}
    for candidate in chosen:
        notes.remarks += [remark for remark in candidate.listing.notes.remarks if remark not in notes.remarks]
        doubts |= {doubt.setting: doubt for doubt in candidate.listing.notes.doubts if doubt.setting not in doubts}
    notes.extend(Notes(doubts=list(doubts.values())))
    return notes
