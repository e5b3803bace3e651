"""One screen on a source as it was understood: what `inspect` prints and a refresh says first."""

from collections import Counter
from collections.abc import Collection, Iterable

from lake.storage.attempts import count_refused
from lake.text.formatting import percent
from pipeline.config.dataset import DatasetSettings
from pipeline.source.answers import suggest
from pipeline.source.listing import Listing
from pipeline.source.meaning.split_names import SPLITS
from pipeline.source.printable import show
from pipeline.source.understanding.other_columns import tell_other_columns
from pipeline.source.understanding.understand import Understanding

MOST_CLASSES = 12
"""Classes that are named with their counts; of more, the largest and the smallest are."""


def summarize(understanding: Understanding, more: Iterable[tuple[str, str]] = ()) -> list[tuple[str, str]]:
    """Heading and text of each line; `more` comes after the splits."""
    listing = understanding.listing
    lines = [
        *summarize_briefly(understanding),
        *(("columns", line) for line in tell_other_columns(understanding)),
        *more,
        ("left aside", listing.notes.tell_asides()),
        ("refused", _say_refused(listing)),
        *(("understood", remark) for remark in listing.notes.remarks),
        *(("unclear", f"{doubt.sentence} {suggest(doubt)}") for doubt in listing.notes.doubts),
    ]
    return [(heading, text) for heading, text in lines if text]


def summarize_briefly(understanding: Understanding) -> list[tuple[str, str]]:
    """Heading and text of the lines on source, images, classes and splits."""
    images, listing = understanding.listing.images, understanding.listing
    lines = [
        ("source", f"{understanding.own.source} ({listing.kind})"),
        ("images", _count_images(understanding)),
        ("classes", _name_classes(Counter(image.label for image in images if image.label), understanding.classes)),
        ("splits", _say_splits(understanding)),
    ]
    return [(heading, text) for heading, text in lines if text]


def _count_images(understanding: Understanding) -> str:
    images = understanding.listing.images
    labelled = sum(image.label is not None for image in images)
    kind = "rows" if images and images[0].image is None else "images"
    unlabeled = f", {len(images) - labelled:,} without a label" if labelled < len(images) else ""
    return f"{len(images):,} {kind}{unlabeled}"


def _name_classes(counts: Counter[str], classes: list[str]) -> str:
    """Every class with its count, in order; of many, the three largest and the three smallest."""
    if len(classes) <= MOST_CLASSES:
        named = (f"{show(name)} {counts[name]:,}" for name in classes)
        return f"{len(classes):,}: " + ", ".join(named) if classes else ""
    ranked = sorted(classes, key=lambda name: -counts[name])
    ends = [", ".join(f"{show(name)} {counts[name]:,}" for name in part) for part in (ranked[:3], ranked[-3:])]
    return f"{len(classes):,}, {show(classes[0])} to {show(classes[-1])}; largest {ends[0]}; smallest {ends[1]}"


def _say_splits(understanding: Understanding) -> str:
    own, images = understanding.own, understanding.listing.images
    if own.predictions is None and len(understanding.classes) < 2:
        return ""
    named = Counter(image.split for image in images if image.label is not None)
    parts = [f"{split} {named[split]:,}" for split in SPLITS if named[split]]
    parts += [f"{named[None]:,} without one"] if named[None] else []
    shares = {} if own.predictions else drawn_shares(own, named)
    if not shares:
        return ", ".join(parts)
    drawn = " and ".join(f"{percent(share, 0)} {name}" for name, share in shares.items())
    by = f"by groups of {own.group_column!r} and class" if own.group_column else "by class"
    if len(parts) == 1 and named[None]:
        return f"none named: {drawn} are drawn {by}"
    pool = "those of train and without one" if named[None] else "those of train"
    return f"{', '.join(parts)}; of {pool}, {drawn} are drawn {by}"


def drawn_shares(own: DatasetSettings, named: Collection[str | None]) -> dict[str, float]:
    """The share of the labelled images that is drawn for each split that the source does not name."""
    shares = {"test": own.test_share, "validation": own.validation_share}
    return {split: share for split, share in shares.items() if split not in named and share}


def _say_refused(listing: Listing) -> str:
    reasons = count_refused((name, why.reason, why.detail) for name, why in listing.refused)
    return _join(f"{row['n']:,} {row['reason']!r}, such as {show(row['example'])}" for row in reasons)


def _join(texts: Iterable[str]) -> str:
    return "; ".join(texts)
