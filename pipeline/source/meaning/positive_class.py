"""Which of two classes the single number of each row belongs to, which the labels decide where nothing says it.

N rows.
"""

import numpy as np
from numpy.typing import NDArray

from lake.statistics import mcnemar_p
from lake.text.formatting import percent
from pipeline.source.meaning.class_order import CERTAIN, is_above_chance
from pipeline.source.notes import Doubt, Notes

POSITIVE = "predictions.positive"
FAR_WORSE = 0.2
"""Difference of accuracies from which a class that a column names is doubted."""


def settle_positive(
    logits_N2: NDArray[np.floating], label_N: NDArray[np.int64], classes: list[str], *, said: str | None, is_set: bool
) -> tuple[str, Notes]:
    """The class that the numbers belong to. `logits_N2` are as if it was `said`, or the second class if nothing says.

    `label_N` is -1 without a label, and `is_set` says that the settings name the class, which is never doubted.
    """
    assumed = said or classes[1]
    (other,) = {*classes} - {assumed}
    labelled = label_N >= 0
    label = label_N[labelled]
    predicted = logits_N2[labelled].argmax(1)
    right, swapped = predicted == label, 1 - predicted == label
    p = mcnemar_p(int((swapped & ~right).sum()), int((right & ~swapped).sum()))
    best, worse = (other, assumed) if swapped.sum() > right.sum() else (assumed, other)
    is_certain = p < CERTAIN and is_above_chance(np.maximum(swapped.sum(), right.sum()), label)
    shares = sorted((float(is_right.mean()) if len(label) else 0.0 for is_right in (right, swapped)), reverse=True)
    fit = (
        f"{percent(shares[0])} of {len(label):,} labelled rows are right if it is that of {best!r}, and "
        f"{percent(shares[1])} if it is that of {worse!r}"
    )
    if said is None and is_certain:
        return best, Notes(remarks=[f"The predictions are one number per row: {fit}."])
    if said is None:
        return assumed, Notes(doubts=[_ask(classes, _suggest(logits_N2[labelled], label, classes))])
    if best == said or not is_certain or shares[0] - shares[1] < FAR_WORSE:
        return said, Notes()
    if is_set:
        return said, Notes(remarks=[f"The number of each row is that of {said!r}, but {fit}: check {POSITIVE}."])
    return best, Notes(
        doubts=[Doubt(POSITIVE, f"The column says that its numbers are those of {said!r}, but {fit}.", best)]
    )


def _ask(classes: list[str], suggestion: str) -> Doubt:
    return Doubt(
        POSITIVE,
        f"The predictions have one number per row: it may be of {classes[0]!r} or of {classes[1]!r}.",
        suggestion,
    )


def _suggest(logits_N2: NDArray[np.floating], label_N: NDArray[np.int64], classes: list[str]) -> str:
    """The class whose rows mostly have the larger numbers; the second one without rows of both classes."""
    from scipy.stats import rankdata

    first, second = (label_N == 0), (label_N == 1)
    if not first.any() or not second.any():
        return classes[1]
    rank = rankdata(logits_N2[:, 1] - logits_N2[:, 0])
    return classes[1] if rank[second].mean() >= rank[first].mean() else classes[0]
