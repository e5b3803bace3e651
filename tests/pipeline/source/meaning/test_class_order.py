"""Classes are in the order that people expect, and predictions in the one that fits their labels, or it is asked."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.source.meaning.class_order import natural_order, order_classes

INTEGERS = [str(i) for i in range(12)]
GRADES = [f"grade {i}" for i in range(1, 13)]
FRUIT = ["apple", "Banana", "cherry", "Date"]


def predict(
    order: list[str], names: list[str], rows: int, right: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Predictions whose columns are in this order, a share of them right, and the label of each row among `names`."""
    rng = np.random.default_rng(0)
    label = np.arange(rows) % len(names)
    predicted = np.where(rng.random(rows) < right, label, rng.integers(0, len(names), rows))
    numbers = np.full((rows, len(names)), 0.01, np.float32)
    numbers[np.arange(rows), [order.index(names[i]) for i in predicted]] = 0.9
    return numbers, label


@pytest.mark.parametrize(
    "ordered",
    [
        ["-1", "0", "1", "2", "10"],
        ["-1", "0.25", "0.5", "10"],
        ["apple", "Banana", "cherry"],
        GRADES,
        ["a2", "A10", "b1"],
        ["A", "a", "B", "b"],
        ["v1.2.9", "v1.2.10"],
    ],
)
def test_the_natural_order_is_that_of_people(ordered: list[str]) -> None:
    assert natural_order(reversed(ordered)) == ordered
    assert natural_order(np.random.default_rng(0).permutation(ordered).tolist()) == ordered


@pytest.mark.parametrize("names", [INTEGERS, GRADES, FRUIT])
@pytest.mark.parametrize("made_in", [natural_order, sorted])
def test_labels_decide_between_orders(names: list[str], made_in: Callable[[list[str]], list[str]]) -> None:
    order = made_in(names)
    found = order_classes(*predict(order, names, 240), names)
    assert found.order == order
    assert max(found.accuracies.values()) == 1
    assert not found.notes.doubts
    (remark,) = found.notes.remarks
    assert "100.0 % of 240" in remark
    assert remark.count(" %") == 2


def test_the_alphabetical_order_of_text_is_found() -> None:
    names = natural_order(["a10", "a2", "B1", "c"])
    order = sorted(names, key=str.casefold)
    assert order not in (names, sorted(names))
    assert order_classes(*predict(order, names, 200), names).order == order


@pytest.mark.parametrize("rows", [0, 6])
def test_too_few_labels_are_asked_about(rows: int) -> None:
    found = order_classes(*predict(sorted(FRUIT), FRUIT, rows), FRUIT)
    (doubt,) = found.notes.doubts
    assert doubt.setting == "predictions.classes"
    assert doubt.suggestion == found.order == FRUIT


def test_unlabeled_rows_decide_nothing() -> None:
    numbers, label = predict(sorted(FRUIT), FRUIT, 240)
    assert order_classes(numbers, np.full_like(label, -1), FRUIT).notes.doubts
    label[:120] = -1
    found = order_classes(numbers, label, FRUIT)
    assert found.order == sorted(FRUIT)
    assert "100.0 % of 120 labelled rows" in found.notes.remarks[0]


def test_predictions_at_chance_do_not_decide() -> None:
    found = order_classes(*predict(sorted(INTEGERS), INTEGERS, 400, right=0), INTEGERS)
    assert [doubt.suggestion for doubt in found.notes.doubts] == [INTEGERS]


def test_always_the_commonest_class_does_not_decide() -> None:
    label = np.array([2] * 90 + [0, 1] * 5)
    numbers = np.zeros((100, 3))
    numbers[:, 1] = 1
    names = ["b", "C", "a"]
    assert order_classes(numbers, label, natural_order(names)).notes.doubts


@pytest.mark.parametrize("names", [["0", "1"], ["-1", "0", "1"], ["cat", "dog"], [str(i) for i in range(10)]])
def test_orders_that_agree_are_taken_without_a_word(names: list[str]) -> None:
    found = order_classes(*predict(names, names, 200), names)
    assert found.order == names
    assert not found.notes.doubts
    assert not found.notes.remarks


def test_orders_that_agree_need_no_labels() -> None:
    found = order_classes(np.eye(2), np.array([-1, -1]), ["cat", "dog"])
    assert found.order == ["cat", "dog"]
    assert found.accuracies == {}
    assert not found.notes.doubts


def test_a_declared_order_is_taken_without_asking() -> None:
    declared = ["Date", "apple", "cherry", "Banana"]
    found = order_classes(*predict(declared, FRUIT, 8), FRUIT, declared=declared)
    assert found.order == declared
    assert not found.notes.doubts
    assert not found.notes.remarks


@pytest.mark.parametrize("names", [["benign", "malignant"], ["bird", "cat", "dog"], INTEGERS])
def test_an_order_that_no_rule_gives_is_asked_about_with_the_one_that_fits(names: list[str]) -> None:
    order = names[::-1]
    found = order_classes(*predict(order, names, 240, right=0.8), names)
    (doubt,) = found.notes.doubts
    assert doubt.suggestion == order
    told = order_classes(*predict(order, names, 240), names, declared=names)
    assert told.order == names
    assert not told.notes.doubts
    assert "check predictions.classes" in told.notes.remarks[0]


def test_poor_predictions_are_no_reason_to_ask_for_another_order() -> None:
    found = order_classes(*predict(["a", "b", "c"], ["a", "b", "c"], 60, right=0), ["a", "b", "c"])
    assert not found.notes.doubts
    assert "no more than always the commonest class" in found.notes.remarks[0]
    constant = np.tile([0.0, 0.0, 1.0], (200, 1))
    label = np.array([0] * 150 + [1] * 30 + [2] * 20)
    assert not order_classes(constant, label, ["a", "b", "c"]).notes.doubts


def test_the_order_of_a_thousand_classes_is_found() -> None:
    names = [f"class {i}" for i in range(1000)]
    column = {name: i for i, name in enumerate(sorted(names))}
    label = np.random.default_rng(0).integers(0, 1000, 12_000)
    numbers = np.zeros((12_000, 1000), np.float16)
    numbers[np.arange(12_000), [column[names[i]] for i in label]] = 1
    assert order_classes(numbers, label, names).order == sorted(names)
