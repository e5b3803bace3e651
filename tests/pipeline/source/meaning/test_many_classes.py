"""Beyond 1,000 classes, the largest stay and the others are one class; names of images are no classes."""

from pathlib import Path

import pytest

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings
from pipeline.source.listing import ListedImage, Listing
from pipeline.source.meaning.class_order import natural_order
from pipeline.source.meaning.many_classes import merge_small_classes

OWN = DatasetSettings(source=Path("birds"))


def listing_of(counts: dict[str, int], *, split: str | None = None) -> Listing:
    labels = [label for label, count in counts.items() for _ in range(count)]
    return Listing([ListedImage(f"{i}.png", None, label, split) for i, label in enumerate(labels)])


def sizes(*, small: int) -> dict[str, int]:
    """999 classes of 3 images, and `small` more of 2."""
    return {f"bird {i}": 3 for i in range(999)} | {f"small {i}": 2 for i in range(small)}


def test_a_thousand_classes_are_kept_as_they_are() -> None:
    listing, counts = listing_of(sizes(small=1)), sizes(small=1)
    classes = natural_order(counts)
    assert merge_small_classes(listing, classes, OWN) == classes
    assert not listing.notes.remarks and {image.label for image in listing.images} == set(counts)


def test_the_smallest_classes_beyond_a_thousand_are_one_class_which_is_said() -> None:
    counts = sizes(small=2)
    listing = listing_of(counts)
    classes = merge_small_classes(listing, natural_order(counts), OWN)
    assert len(classes) == 1000 and classes == [*natural_order(f"bird {i}" for i in range(999)), "other"]
    assert sum(image.label == "other" for image in listing.images) == 4
    assert sum(image.label == "bird 7" for image in listing.images) == 3
    assert listing.notes.remarks == [
        "The source has 1,001 classes, more than the 1,000 that can be measured: the 999 with the most training images "
        "stay, and the 2 others, of at most 2 training images each, such as 'small 0', are one class 'other' "
        "(4 images)."
    ]


def test_of_equal_classes_the_first_in_natural_order_stay() -> None:
    counts = {f"class {i}": 2 for i in range(1002)}
    classes = merge_small_classes(listing_of(counts), natural_order(counts), OWN)
    assert classes == [*(f"class {i}" for i in range(999)), "other"]


def test_only_training_images_count_and_unlabeled_ones_stay_unlabeled() -> None:
    listing, large_test = listing_of(sizes(small=1)), listing_of({"tested": 50}, split="test")
    listing.images += [*large_test.images, ListedImage("no label", None, None, "unlabeled")]
    classes = merge_small_classes(listing, natural_order([*sizes(small=1), "tested"]), OWN)
    assert "tested" not in classes and sum(image.label == "other" for image in listing.images) == 52
    assert listing.images[-1].label is None


@pytest.mark.parametrize(
    ("taken", "free"),
    [(["Other"], "other classes"), (["other", "other classes", "ALL OTHER CLASSES"], "other (2)")],
)
def test_the_class_of_the_others_has_a_name_of_its_own(taken: list[str], free: str) -> None:
    counts = dict.fromkeys(taken, 9) | sizes(small=3)
    assert merge_small_classes(listing_of(counts), natural_order(counts), OWN)[-1] == free


def test_labels_that_occur_once_are_names_of_images() -> None:
    counts = {f"IMG_{i:04}": 1 for i in range(1500)}
    with pytest.raises(UserError, match=r"has 1,500 labels, and most of them occur only once, .* label_column"):
        merge_small_classes(listing_of(counts), natural_order(counts), OWN)


def test_classes_of_predictions_are_not_merged() -> None:
    own = DatasetSettings(source=Path("said.parquet"), predictions={})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="are about 1,001 classes, but at most 1,000 can be measured"):
        merge_small_classes(listing_of({}), [f"{i}" for i in range(1001)], own)


def test_labels_that_mostly_occur_once_are_told_even_if_there_are_few_enough() -> None:
    for counts, tells in (
        ({f"{i / 7:.2f}": 1 for i in range(40)}, True),
        ({f"{i}": 1 if i < 10 else 3 for i in range(40)}, False),
        ({"a": 1, "b": 1, "c": 40}, False),
    ):
        listing = listing_of(counts)
        assert merge_small_classes(listing, list(counts), OWN) == list(counts)
        assert [("40 of 40 labels occur only once, such as '0.00'" in said) for said in listing.notes.remarks] == (
            [True] if tells else []
        )
