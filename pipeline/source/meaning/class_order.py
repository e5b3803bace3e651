"""The order of classes: a natural one for people, and the one that predictions without names were made in.

N rows, K classes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from natsort import natsorted, ns
from numpy.typing import NDArray

from lake.statistics import mcnemar_p
from lake.text.formatting import percent
from pipeline.source.notes import Doubt, Notes

CERTAIN = 1e-3
"""p value below which the labels decide between orders."""
ROWS_PER_CLASS = 10
"""Labelled rows per class from which the order that fits best says something."""
NATURAL, BY_CODE, BY_TEXT, DECLARED = "natural order", "order of characters", "alphabetical order", "declared order"


@dataclass(frozen=True)
class ClassOrder:
    """The class of each column of the predictions [K]."""

    order: list[str]
    accuracies: dict[str, float]
    """Accuracy of the labelled rows under each order that was compared; empty without labels."""
    notes: Notes


@dataclass(frozen=True)
class _Order:
    """An order that the columns may have."""

    kind: str
    names: list[str]
    is_right_N: NDArray[np.bool_]
    """Whether each labelled row is right under this order."""

    @property
    def accuracy(self) -> float:
        return float(self.is_right_N.mean()) if len(self.is_right_N) else 0.0

    def __str__(self) -> str:
        shown = ", ".join(self.names[:3]) + (", …" if len(self.names) > 3 else "")
        return f"{self.kind} ({shown})"


def natural_order(labels: Iterable[str]) -> list[str]:
    """The labels as people order them: whatever their case, grade 2 before grade 10, and numbers by value."""
    texts = sorted(labels)
    try:
        return sorted(texts, key=_number)
    except ValueError:
        return list(natsorted(texts, alg=ns.IGNORECASE))


def order_classes(
    numbers_NK: NDArray[np.floating],
    label_N: NDArray[np.int64],
    names: list[str],
    *,
    declared: list[str] | None = None,
) -> ClassOrder:
    """The order of the classes in the columns of predictions, which the labels decide where orders differ.

    `names` are the K classes in natural order, and `label_N` their indices, -1 without a label. Orders that agree are
    taken; so is one that fits the labels significantly better than the others and than chance. Otherwise the doubt
    suggests the natural order, or one found from the labels that fits far better. `declared`, the K classes in the
    order that the settings give, is never doubted.
    """
    labelled = np.flatnonzero(label_N >= 0)
    predicted_N, label_N = numbers_NK.argmax(1)[labelled], label_N[labelled]
    orders = {DECLARED: declared} if declared else _candidates(names)
    index = {name: i for i, name in enumerate(names)}
    compared = []
    for kind, order in orders.items():
        class_of_column = np.array([index.get(name, -1) for name in order], dtype=np.int64)
        compared.append(_Order(kind, order, class_of_column[predicted_N] == label_N))
    notes = Notes()
    best = _choose(compared, label_N, notes)
    accuracies = {order.kind: order.accuracy for order in compared} if len(label_N) else {}
    fitted = _fit(predicted_N, label_N, names) if len(label_N) >= ROWS_PER_CLASS * len(names) else None
    if fitted and _is_far_better(fitted, best, label_N):
        _note_fitted(fitted, best, declared is not None, notes)
    elif len(label_N) and len(names) > 2 and not _is_above_chance(best, label_N):
        notes.remarks.append(
            f"In the {best}, the predictions are right for {percent(best.accuracy)} of {len(label_N):,} labelled rows, "
            "no more than always the commonest class: check the order of the classes."
        )
    return ClassOrder(best.names, accuracies, notes)


def _number(label: str) -> float:
    """The value of a label such as -1 or 2.5. Raises `ValueError` if it is no such number."""
    if not set(label) <= set("0123456789.-"):
        raise ValueError(label)
    return float(label)


def _candidates(names: list[str]) -> dict[str, list[str]]:
    """The orders that tools give to these classes, without those that are equal."""
    orders = {NATURAL: names, BY_CODE: sorted(names), BY_TEXT: sorted(names, key=lambda name: (name.casefold(), name))}
    kinds: dict[tuple[str, ...], str] = {}
    for kind, order in orders.items():
        kinds.setdefault(tuple(order), kind)
    return {kind: list(order) for order, kind in kinds.items()}


def _choose(orders: list[_Order], label_N: NDArray[np.int64], notes: Notes) -> _Order:
    """The only order, or the one that the labels decide for; otherwise the first, with a doubt."""
    if len(orders) == 1:
        return orders[0]
    best, other = sorted(orders, key=lambda order: -order.accuracy)[:2]
    better = int((best.is_right_N & ~other.is_right_N).sum())
    worse = int((other.is_right_N & ~best.is_right_N).sum())
    fit = f"{percent(best.accuracy)} of {len(label_N):,} labelled rows are right in the {best}, and "
    fit += f"{percent(other.accuracy)} in the {other}"
    if mcnemar_p(better, worse) < CERTAIN and _is_above_chance(best, label_N):
        notes.remarks.append(f"The columns of the predictions have the classes in {best.kind}: {fit}.")
        return best
    shown = fit if len(label_N) else f"it may be the {orders[0]} or the {orders[1]}, and no row has a label"
    notes.doubts.append(
        Doubt(
            "predictions.classes", f"The order of the classes in the predictions is unclear: {shown}.", orders[0].names
        )
    )
    return orders[0]


def _is_above_chance(order: _Order, label_N: NDArray[np.int64]) -> bool:
    return is_above_chance(int(order.is_right_N.sum()), label_N)


def is_above_chance(right: int, label_N: NDArray[np.int64]) -> bool:
    """Whether more rows are `right` than if the commonest class was always predicted; all rows have a label."""
    from scipy.stats import binomtest

    share = float(np.bincount(label_N).max() / len(label_N)) if len(label_N) else 1.0
    return share < 1 and bool(binomtest(right, len(label_N), share, alternative="greater").pvalue < CERTAIN)


def _fit(predicted_N: NDArray[np.int64], label_N: NDArray[np.int64], names: list[str]) -> _Order:
    """The order under which the most rows are right; columns that do not matter have their natural place."""
    from scipy.optimize import linear_sum_assignment

    hits_KK = np.zeros((len(names), len(names)))
    np.add.at(hits_KK, (predicted_N, label_N), 1)
    _, class_of_column = linear_sum_assignment(hits_KK + 0.5 / len(names) * np.eye(len(names)), maximize=True)
    order = [names[i] for i in class_of_column]
    return _Order("order that fits the labels best", order, class_of_column[predicted_N] == label_N)


def _is_far_better(fitted: _Order, best: _Order, label_N: NDArray[np.int64]) -> bool:
    """Whether the order that was taken is far worse than another one, which predicts more than one class."""
    if fitted.accuracy < best.accuracy + 0.2 or not _is_above_chance(fitted, label_N):
        return False
    better = int((fitted.is_right_N & ~best.is_right_N).sum())
    return mcnemar_p(better, int((best.is_right_N & ~fitted.is_right_N).sum())) < CERTAIN


def _note_fitted(fitted: _Order, best: _Order, is_declared: bool, notes: Notes) -> None:
    """A doubt that suggests the fitted order; a remark if the order is declared, as that answers it."""
    sentence = (
        f"{percent(fitted.accuracy)} of the labelled rows would be right in the {fitted}, but only "
        f"{percent(best.accuracy)} are in the {best}"
    )
    if is_declared:
        notes.remarks.append(f"{sentence}: check predictions.classes.")
        return
    notes.doubts = [Doubt("predictions.classes", f"The order of the classes is unclear: {sentence}.", fitted.names)]
    notes.remarks.clear()
