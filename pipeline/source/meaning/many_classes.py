"""More classes than a lake can have: the largest stay, and the others become one class.

K classes.
"""

from collections import Counter
from dataclasses import replace

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings
from pipeline.source.listing import Listing
from pipeline.source.notes import Notes

MOST_CLASSES = 1000
OTHERS = ("other", "other classes", "all other classes")
"""Names of the class of the others: the first that no class has, whatever its case."""
LEAST_OF_A_CLASS = 2
"""Training images from which labels are classes; those that occur once are more likely names of images."""

MANY = 20
"""Classes from which it is said that most of them have a single image."""


def merge_small_classes(listing: Listing, classes: list[str], own: DatasetSettings) -> list[str]:
    """The classes in their order, at most 1,000; labels of the listing beyond the largest 999 become "other".

    The largest are those with the most training images, ties in the order of `classes`. Images whose split is not
    drawn yet count as training images. Raises `UserError` if there are more classes and the predictions of another
    model are about them, or if the labels look like names of images.
    """
    if len(classes) <= MOST_CLASSES:
        listing.notes.extend(Notes(remarks=_tell_single(listing, len(classes))))
        return classes
    if own.predictions is not None:
        raise UserError(
            f"The predictions of {own.source} are about {len(classes):,} classes, but at most {MOST_CLASSES:,} can be "
            "measured: merge classes in the table, and sum their probabilities."
        )
    trained = Counter(image.label for image in listing.images if image.label and image.split in (None, "train"))
    ranked = sorted(classes, key=lambda name: -trained[name])
    kept, merged = set(ranked[: MOST_CLASSES - 1]), ranked[MOST_CLASSES - 1 :]
    if trained[ranked[MOST_CLASSES // 2]] < LEAST_OF_A_CLASS:
        raise UserError(
            f"The dataset {own.source} has {len(classes):,} labels, and most of them occur only once, such as "
            f"{merged[0]!r}: these are no classes to learn. Name the column of classes with label_column, or the level "
            "of the folders that name them with class_level, or give labels that are the same one class with labels."
        )
    other = _free_name(classes)
    listing.images = [
        image if image.label is None or image.label in kept else replace(image, label=other) for image in listing.images
    ]
    count = sum(image.label == other for image in listing.images)
    listing.notes.extend(Notes(remarks=[_tell(classes, merged, trained[merged[0]], other, count)]))
    return [*(name for name in classes if name in kept), other]


def _tell_single(listing: Listing, classes: int) -> list[str]:
    """A remark if most labels occur once, as measurements and names of images do."""
    counts = Counter(image.label for image in listing.images if image.label)
    single = [label for label, count in counts.items() if count == 1]
    if classes < MANY or 2 * len(single) <= classes:
        return []
    return [
        f"{len(single):,} of {classes:,} labels occur only once, such as {single[0]!r}: if they are numbers or names, "
        "and no classes, name the column of classes with label_column."
    ]


def _free_name(classes: list[str]) -> str:
    taken = {name.casefold().strip() for name in classes}
    named = next((name for name in OTHERS if name not in taken), None)
    return named or next(f"{OTHERS[0]} ({i})" for i in range(2, len(classes) + 3) if f"{OTHERS[0]} ({i})" not in taken)


def _tell(classes: list[str], merged: list[str], largest: int, other: str, count: int) -> str:
    return (
        f"The source has {len(classes):,} classes, more than the {MOST_CLASSES:,} that can be measured: the "
        f"{MOST_CLASSES - 1:,} with the most training images stay, and the {len(merged):,} others, of at most "
        f"{largest:,} training images each, such as {merged[0]!r}, are one class {other!r} ({count:,} images)."
    )
