"""Patients in training and in test are told of, with the accuracy on unseen ones; columns by chance are not."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.query.leaks.shared_values import FEWEST, SharedValues, find_shared_values
from pages.text.shared_values import say

CLASSES = ["benign", "malignant"]


@dataclass
class Drawn:
    """The tables of a run with columns of text or numbers; `correct` is given or drawn."""

    columns: dict[str, list[Any]]
    split: list[str]
    label: list[str | None]
    correct: list[bool]
    groups: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def metadata(self) -> dict[str, str]:
        return {
            name: "text" if any(isinstance(value, str) for value in values) else "number"
            for name, values in self.columns.items()
        }

    def scan(self, name: str) -> pl.LazyFrame:
        ids = list(range(len(self.split)))
        if name == "predictions":
            right = [ok if label else None for ok, label in zip(self.correct, self.label, strict=True)]
            return pl.LazyFrame({"sample_id": ids, "correct": right})
        kinds = self.metadata
        rows = [
            [
                {
                    "name": column,
                    "value": values[i] if kinds[column] == "text" else None,
                    "number": float(values[i]) if kinds[column] == "number" and values[i] is not None else None,
                }
                for column, values in self.columns.items()
            ]
            for i in ids
        ]
        kind = pl.List(pl.Struct({"name": pl.String, "value": pl.String, "number": pl.Float64}))
        return pl.LazyFrame(
            {
                "sample_id": ids,
                "split": self.split,
                "label": pl.Series(self.label, dtype=pl.String),
                "metadata": pl.Series(rows, dtype=kind),
            }
        )


def patients(*, shared: int, unseen: int, right: float = 1.0, right_unseen: float = 0.56, seed: int = 0) -> Drawn:
    """Patients of ten images and one label each; five images of the `shared` ones are test images, all of `unseen`."""
    rng = np.random.default_rng(seed)
    patient = [f"p{i:02}" for i in range(shared + unseen) for _ in range(10)]
    is_unseen = np.repeat(np.arange(shared + unseen) >= shared, 10)
    split = np.where(is_unseen | (np.arange(len(patient)) % 2 == 0), "test", "train")
    correct = rng.random(len(patient)) < np.where(is_unseen, right_unseen, right)
    label: list[str | None] = [CLASSES[int(name[1:]) % 2] for name in patient]
    return Drawn({"patient": patient}, split.tolist(), label, correct.tolist())


def test_patients_that_all_lie_on_both_sides_leave_the_accuracy_on_new_ones_unknown() -> None:
    (found,) = find_shared_values(patients(shared=40, unseen=0))
    assert (found.column, found.values, found.seen.values, found.seen.n) == ("patient", 40, 40, 200)
    assert found.is_suspect and found.difference is None and not found.is_easier
    assert say(found) == (
        "All 40 values of **patient** in the test split lie in train too: accuracy on unseen values cannot be "
        'measured, and may be far lower. Set group\\_column = "patient" in [dataset] to keep the images of a value in '
        "one split."
    ).replace("group\\_column", "group_column")


def test_accuracy_on_seen_patients_is_compared_with_that_on_unseen_ones() -> None:
    drawn = patients(shared=30, unseen=10)
    (found,) = find_shared_values(drawn)
    test = pl.DataFrame({"patient": drawn.columns["patient"], "split": drawn.split, "ok": drawn.correct}).filter(
        split="test"
    )
    is_new = test["patient"].str.strip_prefix("p").cast(pl.Int64) >= 30
    ok, new = test["ok"].to_numpy(), is_new.to_numpy()
    assert (found.seen.n, found.seen.hits, found.unseen.n, found.unseen.hits) == (150, 150, 100, int(ok[new].sum()))
    assert found.difference == pytest.approx(ok[~new].mean() - ok[new].mean())
    assert found.difference is not None and found.low is not None and found.high is not None
    assert 0 < found.low < found.difference < found.high
    assert found.is_easier and found.adjusted_p == pytest.approx(0.001)
    said = say(found)
    assert said.startswith("30 of the 40 values of **patient** in the test split lie in train too: the model is right")
    assert "on **100.0\u00a0%** of 150 images" in said and "rely on the second for new values. Set group_column" in said
    assert "Set group_column" not in say(found, is_grouped=True)


def test_no_difference_may_be_chance() -> None:
    (found,) = find_shared_values(patients(shared=30, unseen=10, right=0.8, right_unseen=0.8))
    assert found.low is not None and found.low < 0 and not found.is_easier
    assert say(found).endswith("which may be chance.")


def test_fewer_than_twenty_unseen_samples_are_counted_but_not_compared() -> None:
    (found,) = find_shared_values(patients(shared=30, unseen=1))
    assert found.unseen.n == 10 < FEWEST and found.difference is None
    assert "only 10 test images of unseen values are there (20 are needed)" in say(found)


def test_patients_kept_apart_are_said_to_be() -> None:
    drawn = patients(shared=0, unseen=40)
    drawn.split = ["train" if int(name[1:]) < 28 else "test" for name in drawn.columns["patient"]]
    (found,) = find_shared_values(drawn)
    assert found.seen.values == 0 and say(found) == "No value of **patient** lies in train and test."


def test_samples_of_one_patient_count_together_in_the_interval() -> None:
    """Ten unseen patients, each right or wrong as a whole, say less than a hundred independent images."""
    independent, together = (patients(shared=30, unseen=10, right=0.9, right_unseen=0.5, seed=s) for s in (1, 1))
    together.correct = [
        ok if int(name[1:]) < 30 else int(name[1:]) // 2 % 2 == 0
        for name, ok in zip(together.columns["patient"], together.correct, strict=True)
    ]
    (wide,), (narrow,) = find_shared_values(together), find_shared_values(independent)
    assert wide.low is not None and wide.high is not None and narrow.low is not None and narrow.high is not None
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def of_unsuspicious(name: str, drawn: Drawn) -> Drawn:
    """The same with mixed labels and another name, so that neither suggests groups."""
    drawn.columns[name] = drawn.columns.pop("patient")
    drawn.label = [CLASSES[i % 2] for i in range(len(drawn.split))]
    return drawn


def test_an_unsuspicious_column_is_told_of_only_if_seen_values_are_easier() -> None:
    (found,) = find_shared_values(of_unsuspicious("tint", patients(shared=30, unseen=10)))
    assert found.column == "tint" and not found.is_suspect and found.is_easier
    assert not find_shared_values(of_unsuspicious("tint", patients(shared=40, unseen=0)))
    same = patients(shared=30, unseen=10, right=0.7, right_unseen=0.7)
    assert not find_shared_values(of_unsuspicious("tint", same))


def test_the_group_column_is_told_of_whatever_its_name() -> None:
    drawn = of_unsuspicious("tint_no", patients(shared=40, unseen=0))
    (found,) = find_shared_values(drawn, group_column="tint no")
    assert found.is_suspect and found.column == "tint_no"


def test_random_columns_raise_an_alarm_in_few_of_many_runs() -> None:
    """Values drawn at random, of samples whose accuracy has nothing to do with them."""
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        columns = {f"random {i}": [int(v) for v in rng.integers(0, 150, 300)] for i in range(3)}
        split = rng.choice(["train", "test"], 300).tolist()
        label: list[str | None] = rng.choice(CLASSES, 300).tolist()
        alarms += len(find_shared_values(Drawn(columns, split, label, (rng.random(300) < 0.7).tolist())))
    assert alarms <= 6  # 2 are expected


@pytest.mark.parametrize(
    "values",
    [
        [i / 7 for i in range(400)],
        ["one"] * 400,
        [f"image {i}" for i in range(400)],
        [None] * 400,
        ["n/a"] * 400,
    ],
    ids=["measurements", "a constant", "names of images", "missing", "written as missing"],
)
def test_other_columns_are_not_looked_at(values: list[Any]) -> None:
    drawn = patients(shared=40, unseen=0)
    drawn.columns = {"patient": values}
    assert find_shared_values(drawn) == []


def test_missing_values_whole_numbers_and_runs_without_training_or_labels_are_fine() -> None:
    drawn = patients(shared=40, unseen=0)
    numbers: list[Any] = [int(name[1:]) for name in drawn.columns["patient"]]
    drawn.columns["patient"] = [None if i % 20 == 0 else number for i, number in enumerate(numbers)]
    (found,) = find_shared_values(drawn)
    assert isinstance(found, SharedValues) and (found.values, found.seen.n) == (40, 180)
    assert not find_shared_values(Drawn(drawn.columns, ["test"] * 400, drawn.label, drawn.correct))
    assert not find_shared_values(Drawn(drawn.columns, drawn.split, [None] * 400, drawn.correct))
