"""A split column is understood as people write it; what may mean anything is asked about, never trained on."""

from typing import Any

import pytest

from pipeline.source.meaning.split_column import SettledSplits, settle_splits


def settle(written: list[str | None], mapping: dict[str, str] | None = None, column: str = "") -> SettledSplits:
    """Settled with a label in every row."""
    return settle_splits(written, ["cat"] * len(written), mapping or {}, column=column)


def repeat(**times: int) -> list[str | None]:
    return [name for name, n in times.items() for _ in range(n)]


def ask(written: list[str | None], column: str = "") -> tuple[str, Any]:
    """The setting and the suggestion of the only doubt."""
    (doubt,) = settle(written, column=column).notes.doubts
    return doubt.setting, doubt.suggestion


# --- names


def test_usual_names_are_taken_without_a_word() -> None:
    settled = settle(["Train", "VAL", " test ", "dev", None, ""])
    assert settled.splits == ["train", "validation", "test", "validation", None, None]
    assert not settled.notes.remarks
    assert not settled.notes.doubts


def test_unusual_names_are_told() -> None:
    settled = settle(["Training", "Training", "PublicTest", "PrivateTest"])
    assert settled.splits == ["train", "train", "validation", "test"]
    (remark,) = settled.notes.remarks
    assert "'PublicTest' (1 row) is validation" in remark
    assert "'PrivateTest' (1 row) is test" in remark
    assert "Training" not in remark


@pytest.mark.parametrize("missing", ["nan", "None", "N/A", "NULL"])
def test_a_missing_value_names_no_split(missing: str) -> None:
    settled = settle(["train", missing, "test"])
    assert settled.splits == ["train", None, "test"]
    assert not settled.refused
    assert not settled.notes.doubts


def test_the_setting_is_right_about_the_names_that_it_has() -> None:
    settled = settle(["0", "1.0", "train", " x"], {"0": "train", "1": "test", "train": "unlabeled", "x": "validation"})
    assert settled.splits == ["train", "test", "unlabeled", "validation"]
    assert not settled.notes.doubts


# --- what may mean anything


@pytest.mark.parametrize(
    ("written", "suggested"),
    [
        ({"0": 8, "1": 2}, {"0": "train", "1": "test"}),
        ({"0": 2, "1": 8}, {"0": "test", "1": "train"}),
        ({"0.0": 8, "1.0": 2}, {"0": "train", "1": "test"}),
        ({"False": 8, "True": 2}, {"False": "train", "True": "test"}),
        ({"0": 8, "1": 2, "2": 2}, {"0": "train", "1": "validation", "2": "test"}),
        ({"tr": 8, "va": 2, "te": 2}, {"tr": "train", "va": "validation", "te": "test"}),
        ({"train": 8, "tarin": 1, "test": 2}, {"tarin": "train"}),
        ({"train": 8, "test": 2, "tets": 1, "tes": 1}, {"tets": "test", "tes": "test"}),
        ({"train": 8, "validaton": 1, "test": 2}, {"validaton": "validation"}),
        ({"train": 8, "extra": 5, "test": 2}, {"extra": "train"}),
        ({"train": 8, "excluded": 5, "test": 2}, {"excluded": "unlabeled"}),
    ],
)
def test_names_that_may_mean_splits_are_asked_about(written: dict[str, int], suggested: dict[str, str]) -> None:
    assert ask(repeat(**written)) == ("splits", suggested)


@pytest.mark.parametrize(
    ("column", "suggested"),
    [
        ("is_test", {"0": "train", "1": "test"}),
        ("isTrain", {"0": "test", "1": "train"}),
        ("is_valid", {"0": "train", "1": "validation"}),
        ("flag", {"0": "test", "1": "train"}),
    ],
)
def test_the_name_of_a_column_of_flags_tells_what_they_mean(column: str, suggested: dict[str, str]) -> None:
    assert ask(repeat(**{"0": 4, "1": 6}), column) == ("splits", suggested)


@pytest.mark.parametrize(
    "written",
    [
        [str(i % 5) for i in range(50)],
        [str(i % 3) for i in range(50)],
        [f"fold {i % 4}" for i in range(8)],
        ["2021-03-01", "2021-03-02", "2021-03-03"],
        ["all"] * 9,
        ["1"] * 9,
    ],
)
def test_folds_and_the_like_suggest_to_ignore_the_column(written: list[str | None]) -> None:
    assert ask(written) == ("split_column", "")


def test_rows_of_an_unknown_split_are_refused_besides_the_doubt() -> None:
    settled = settle(["train", "tarin", "test"])
    assert settled.splits == ["train", None, "test"]
    assert {row: (why.reason, why.detail) for row, why in settled.refused.items()} == {1: ("unknown split", "tarin")}


def test_many_unknown_names_are_one_doubt_with_three_examples() -> None:
    (doubt,) = settle([f"site {i}" for i in range(1, 2001)]).notes.doubts
    assert "'site 1' (1 row), 'site 2' (1 row), 'site 3' (1 row) and 1,997 more" in doubt.sentence


def test_the_suggestion_keeps_what_the_setting_has_already() -> None:
    (doubt,) = settle(["a", "tarin", "test"], {"a": "train"}).notes.doubts
    assert doubt.suggestion == {"a": "train", "tarin": "train"}
    assert not settle(["a", "tarin", "test"], doubt.suggestion).notes.doubts


# --- rows without a label


def test_rows_without_a_label_become_unlabeled_and_are_counted() -> None:
    settled = settle_splits(["train", "train", "test", "test", None], ["a", None, "b", None, None], {})
    assert settled.splits == ["train", "unlabeled", "test", "unlabeled", "unlabeled"]
    assert settled.labels == ["a", None, "b", None, None]
    assert not settled.refused
    assert settled.notes.remarks == ["2 rows without a label are unlabeled: 1 of the split train, 1 of the split test."]


def test_a_test_split_without_any_label_cannot_be_used_and_it_is_said() -> None:
    settled = settle_splits(["train"] * 3 + ["test"] * 2, ["a", "b", "a", None, None], {})
    assert settled.splits == ["train"] * 3 + ["unlabeled"] * 2
    assert "None of the 2 rows of the split test has a label" in settled.notes.remarks[1]


def test_the_labels_of_unlabeled_rows_are_withheld() -> None:
    settled = settle_splits(["train", "unlabeled", "unlabeled"], ["a", "b", None], {})
    assert settled.labels == ["a", None, None]
    assert settled.splits == ["train", "unlabeled", "unlabeled"]
    assert settled.notes.remarks == ["1 row of the split unlabeled have a label, which is not used."]


@pytest.mark.parametrize(("known", "means"), [("val", "test"), ("test", "validation")])
def test_images_for_evaluation_are_suggested_for_what_is_measured_and_not_left_out(known: str, means: str) -> None:
    assert ask(["train", "train", known, "Eval"]) == ("splits", {"Eval": means})
