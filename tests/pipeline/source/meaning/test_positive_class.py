"""The class that a single number per row belongs to: as the labels decide, otherwise asked."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.source.meaning.positive_class import settle_positive

CLASSES = ["ill", "well"]


def draw(right: float, *, rows: int = 200, share: float = 0.5) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits as if the number was that of `well`, and labels, of which a share is `well`."""
    rng = np.random.default_rng(0)
    label = (np.arange(rows) < rows * share).astype(np.int64)
    seen = np.where(rng.random(rows) < right, label, 1 - label)
    size = rng.uniform(1, 3, rows)
    return np.stack([np.where(seen == 0, size, 0), np.where(seen == 1, size, 0)], axis=1), label


@pytest.mark.parametrize(("right", "best"), [(0.9, "well"), (0.1, "ill")])
def test_the_labels_decide_and_this_is_said(right: float, best: str) -> None:
    positive, notes = settle_positive(*draw(right), CLASSES, said=None, is_set=False)
    assert positive == best and not notes.doubts
    assert f"if it is that of {best!r}" in notes.remarks[0]


def test_labels_that_do_not_decide_are_asked_about_with_the_class_of_the_larger_numbers() -> None:
    rare, label = draw(1.0, share=0.02)
    rare -= [[0, 4]]  # every row is below the threshold, but those of `well` are the highest
    positive, notes = settle_positive(rare, label, CLASSES, said=None, is_set=False)
    assert (positive, notes.doubts[0].suggestion) == ("well", "well")
    _, notes = settle_positive(rare[:, ::-1], label, CLASSES, said=None, is_set=False)
    assert notes.doubts[0].suggestion == "ill"
    _, notes = settle_positive(rare, np.full_like(label, -1), CLASSES, said=None, is_set=False)
    assert notes.doubts[0].suggestion == "well" and not notes.remarks


def test_a_class_that_a_column_names_is_doubted_and_one_that_the_settings_name_is_not() -> None:
    logits, label = draw(0.1)
    positive, notes = settle_positive(logits, label, CLASSES, said="well", is_set=False)
    assert [(doubt.setting, doubt.suggestion) for doubt in notes.doubts] == [("predictions.positive", "ill")]
    assert positive == "ill"
    positive, notes = settle_positive(logits, label, CLASSES, said="well", is_set=True)
    assert positive == "well" and not notes.doubts and "check predictions.positive" in notes.remarks[0]
    positive, notes = settle_positive(*draw(0.9), CLASSES, said="well", is_set=False)
    assert (positive, notes.doubts, notes.remarks) == ("well", [], [])
