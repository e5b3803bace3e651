"""Few images, labels or classes: what is too little to measure anything is refused, and what is little is said.

N images, K classes.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.dataset import DatasetSettings
from pipeline.data.usable_counts import tell_commonest
from pipeline.pixels.unusable import Unusable
from pipeline.source.errors import UnusableSource
from pipeline.source.printable import show

FEWEST, FEWEST_TO_TRAIN = 10, 20
"""Images needed with the predictions of another model, and to train one."""
FEWEST_TO_CALIBRATE = 10
"""Labelled validation images from which a temperature is fitted; fewer may all be right, which would make it 0."""
Refused = list[tuple[str, Unusable]]


def needs_model(classes: Collection[str]) -> bool:
    """Whether there is something to tell apart."""
    return len(classes) > 1


def tell_without_model(labelled: int, classes: list[str]) -> str:
    """Why no model is trained, and what there is instead."""
    have = (
        f"All {labelled:,} labelled images are of one class ({show(classes[0])!r})"
        if classes
        else "No image has a label"
    )
    return (
        f"{have}, so no model is trained, and there are no predictions, losses and findings about them. Map, groups, "
        "neighbours and copies are those of the pixels: label images of at least two classes for more."
    )


def check_enough(
    own: DatasetSettings, labels: Sequence[str | None], refused: Refused, *, checkpoint: Path | None = None
) -> None:
    """Raises `UnusableSource` if the usable images, with labels [N], are too few to measure anything.

    Without predictions, fewer than two classes are enough for what needs no model, but not for a checkpoint.
    """
    least = FEWEST if own.predictions else FEWEST_TO_TRAIN
    if len(labels) < least:
        raise UnusableSource(_tell_too_few(own, len(labels), least, refused), refused)
    if not checkpoint:
        return
    classes = {label for label in labels if label is not None}
    if not needs_model(classes):
        have = f"one class ({show(min(classes))!r})" if classes else "no class"
        raise UnusableSource(
            f"The labelled images of the dataset {own.source} are of {have}, and a checkpoint is measured on at least "
            "two: label images of another class, or leave out checkpoint to see map, groups and copies.",
            refused,
        )


def check_training(own: DatasetSettings, label: NDArray[np.int64], split: NDArray[np.str_], refused: Refused) -> None:
    """Raises `UnusableSource` if the training images are of fewer than two classes."""
    trained = np.unique(label[(split == "train") & (label >= 0)])
    if len(trained) < 2:
        raise UnusableSource(
            f"The training images of the dataset {own.source} are of only {len(trained)} class: "
            "add training images of another class, or leave splits empty so that they are drawn.",
            refused,
        )


def tell_few(
    label: NDArray[np.int64],
    split: NDArray[np.str_],
    classes: list[str],
    *,
    predicted: bool,
    min_group_size: int,
) -> list[str]:
    """What few images mean for the results, one sentence each; `label` [N] is -1 without a label.

    `predicted` is whether the predictions are those of another model, so that nothing is trained or calibrated.
    """
    labelled = label >= 0
    if not predicted and not needs_model(classes):
        return [tell_without_model(int(labelled.sum()), classes)]
    held_out = int((labelled & (split != "train")).sum())
    if not labelled.any():
        return ["No image has a label: accuracy and loss are not measured; predictions, map, groups and copies are."]
    remarks = []
    if held_out < 2 * min_group_size:
        remarks.append(
            f"Only {held_out:,} labelled images are held out: intervals are wide, and hardly any group is large enough "
            f"to be tested, which takes {min_group_size} samples in each half of them."
        )
    validation = int((labelled & (split == "validation")).sum())
    if not predicted and validation < FEWEST_TO_CALIBRATE:
        remarks.append(
            f"Only {validation:,} validation images have a label, fewer than {FEWEST_TO_CALIBRATE}: "
            "the probabilities are not calibrated."
        )
    if (present := np.unique(label[labelled])).size == 1:
        name = classes[int(present[0])]
        remarks.append(f"All labels are {show(name)!r}: accuracy only says how often this class is recognised.")
    if not predicted:
        rare = _with_at_most(1, label[split == "train"], classes)
        remarks += _tell_classes(rare, "at most one training image", "the model can hardly learn")
    absent = set(_with_at_most(0, label[split == "test"], classes))
    untested = [classes[i] for i in present if classes[i] in absent]
    return remarks + (_tell_classes(untested, "no test image", "there is no accuracy for") if len(present) > 1 else [])


def _with_at_most(count: int, label: NDArray[np.int64], classes: list[str]) -> list[str]:
    counts = np.bincount(label[label >= 0], minlength=len(classes))
    return [name for name, n in zip(classes, counts, strict=True) if n <= count]


def _tell_classes(names: list[str], have: str, so: str) -> list[str]:
    if not names:
        return []
    if len(names) == 1:
        return [f"The class {show(names[0])!r} has {have}: {so} it."]
    return [f"{len(names):,} classes have {have}, such as {show(names[0])!r}: {so} them."]


def _tell_too_few(own: DatasetSettings, count: int, least: int, refused: Refused) -> str:
    has = f"The dataset {own.source} has {count:,} usable {'image' if count == 1 else 'images'}"
    if not refused:
        return f"{has}: at least {least} are needed."
    return (
        f"{has}, and {len(refused):,} that cannot be used: at least {least} are needed. "
        f"{tell_commonest(refused)}. Fix these images, or add others."
    )
