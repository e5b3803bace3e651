"""Why a loss is high: each rule fires on what was planted for it, and a low loss has no reason."""

import math
from typing import Any

import polars as pl
import pytest

from pipeline.findings.error_causes import sort_out

USUAL = {
    "split": "test",
    "label": "cat",
    "predicted": "cat",
    "correct": True,
    "out_of_sample": True,
    "loss": 0.1,
    "confidence": 0.9,
    "margin": 0.85,
    "sharpness": 300.0,
    "contrast": 20.0,
}
WRONG = {"predicted": "dog", "correct": False}
DOUBTED = WRONG | {"loss": 5.0, "confidence": 0.98, "margin": 0.97}
LOOK_ALIKE = WRONG | {"loss": -math.log(0.3), "confidence": 0.6, "margin": 0.3}
UNSURE = WRONG | {"loss": -math.log(0.2), "confidence": 0.3, "margin": 0.1}


def reason_of(sample: dict[str, object], *, near: str = "cat", similarity: float = 0.9) -> str | None:
    """What the first of 200 samples is sorted to; its ten neighbours are of the class `near`."""
    rows = [USUAL | {"sample_id": i, "sharpness": 300.0 + i, "contrast": 20 + i / 10} for i in range(200)]
    rows[0] = rows[100] | {"sample_id": 0} | sample
    rows += [
        USUAL | {"sample_id": 200 + i, "label": name, "split": "train", "out_of_sample": False}
        for i, name in enumerate(["cat", "dog"])
    ]
    near_id = 200 if near == "cat" else 201
    neighbors = [
        {
            "sample_id": i,
            "rank": 1,
            "neighbor_id": near_id if i == 0 else 200,
            "similarity": similarity if i == 0 else 0.8 + i / 1000,
        }
        for i in range(200)
    ]
    found = sort_out(pl.DataFrame(rows), pl.DataFrame(neighbors))
    assert set(found["sample_id"]) <= {0}
    return found["reason"][0] if len(found) else None


@pytest.mark.parametrize(
    ("sample", "around", "reason"),
    [
        ({}, {}, None),
        (DOUBTED, {"near": "dog"}, "doubtful label"),
        (DOUBTED, {"near": "cat"}, "look-alike class"),
        (UNSURE | {"contrast": 2.0}, {}, "image quality"),
        (UNSURE | {"sharpness": 5.0}, {}, "image quality"),
        (UNSURE | {"contrast": 20.25}, {}, "image quality"),
        (UNSURE | {"contrast": 20.65}, {}, "unsure"),
        (UNSURE | {"sharpness": 306.5}, {}, "unsure"),
        (UNSURE, {"similarity": 0.3}, "far from others"),
        (UNSURE, {"similarity": 0.8065}, "far from others"),
        (UNSURE, {"similarity": 0.8205}, "unsure"),
        (LOOK_ALIKE, {}, "look-alike class"),
        (UNSURE, {}, "unsure"),
    ],
)
def test_a_high_loss_is_sorted_by_the_first_rule_that_fits(
    sample: dict[str, Any], around: dict[str, Any], reason: str | None
) -> None:
    if sample is DOUBTED and around["near"] == "cat":
        sample = sample | {"loss": -math.log(0.01)}  # the label is the second most probable class
    assert reason_of(sample, **around) == reason


def test_unlabeled_and_training_samples_have_no_reason() -> None:
    assert reason_of(UNSURE | {"label": None, "correct": None, "loss": None}) is None
    assert reason_of(UNSURE | {"out_of_sample": False}) is None
