"""Short descriptions of samples, shown below their images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lake.contracts.samples import NO_CLASS
from pages.text.formatting import number


@dataclass(frozen=True)
class Tile:
    """Two lines below an image, its name in the source, and whether the prediction is wrong; plain text."""

    sample_id: int
    first: str
    second: str
    wrong: bool
    source_name: str

    @property
    def title(self) -> str:
        """All of it in one line."""
        return f"Sample {self.sample_id}: {self.first}, {self.second}"


def guess(predicted: str) -> str:
    """Return what an unlabeled sample is called: its prediction as a question, if there is a model."""
    return "no label" if predicted == NO_CLASS else f"{predicted}?"


def describe(row: Mapping[str, Any], measure: str = "loss") -> Tile:
    """Return the tile of a row of `scan_samples` with one of its numbers; by default the (expected) loss."""
    label, predicted, value = row["label"], row["predicted"], row[measure]
    if measure == "loss" and value is None:
        measure, value = "expected loss", row["expected_loss"]
    wrong = bool(label and label != predicted)
    first = f"{label} called {predicted}" if wrong else str(label or guess(predicted))
    if predicted == NO_CLASS:
        return Tile(row["sample_id"], first, row["source_name"], wrong, row["source_name"])
    in_sample = "" if row["out_of_sample"] else ", in-sample"
    second = f"{measure.replace('_', ' ')} {number(float(value))}{in_sample}"
    return Tile(row["sample_id"], first, second, wrong, row["source_name"])
