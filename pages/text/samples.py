"""A sample in a few words, as they stand under its image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pages.text.words import number


@dataclass(frozen=True)
class Tile:
    """The two lines under an image, what the source calls it, and whether the model is wrong on it; plain text."""

    sample_id: int
    first: str
    second: str
    wrong: bool
    source_name: str

    @property
    def title(self) -> str:
        """All of it in one line."""
        return f"Sample {self.sample_id}: {self.first}, {self.second}"


def describe(row: Mapping[str, Any], measure: str = "loss") -> Tile:
    """The tile of a row of `queries.scan_samples` with one of its numbers, the expected loss where it has no loss."""
    label, predicted, value = row["label"], row["predicted"], row[measure]
    if measure == "loss" and value is None:
        measure, value = "expected loss", row["expected_loss"]
    wrong = bool(label and label != predicted)
    said = f"{label} called {predicted}" if wrong else str(label or f"{predicted}?")
    in_sample = "" if row["out_of_sample"] else ", in-sample"
    measured = f"{measure.replace('_', ' ')} {number(float(value))}{in_sample}"
    return Tile(row["sample_id"], said, measured, wrong, row["source_name"])
