"""Which columns of a table hold label, split and name: as named, by their names, or asked for."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings
from pipeline.source.columns.table_columns import find_columns

N = 12


def table(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"image": [f"{i}.png" for i in range(N)]} | columns)


def own(**said: Any) -> DatasetSettings:
    return DatasetSettings(source=Path("list.csv"), **said)


CLASS = ["cat", "dog"] * (N // 2)
SPLIT = ["train", "train", "val", "test"] * (N // 4)
UNIQUE = [f"n{i}" for i in range(N)]


def test_columns_with_the_usual_names_are_taken_without_a_word() -> None:
    found = find_columns(table(label=CLASS, split=SPLIT, name=UNIQUE), own(), image="image")
    assert (found.label, found.split, found.name) == ("label", "split", "name")
    assert (found.notes.doubts, found.notes.remarks) == ([], [])


@pytest.mark.parametrize("label", ["class", "Category", "dx", "y_true", "Class Name"])
def test_another_name_of_labels_is_taken_and_said(label: str) -> None:
    found = find_columns(table(**{label: CLASS}), own(), image="image")
    assert found.label == label and found.notes.doubts == []
    assert found.notes.remarks == ([f"The labels are those of the column {label!r}."])


def test_a_label_that_only_its_values_suggest_is_asked_for_and_no_id_is_suggested_first() -> None:
    found = find_columns(table(lesion_id=[i // 2 for i in range(N)], race=CLASS, serial=UNIQUE), own(), image="image")
    (doubt,) = found.notes.doubts
    assert (doubt.setting, doubt.suggestion, found.label) == ("label_column", "race", "race")
    assert "'lesion_id'" in doubt.sentence and "'serial'" not in doubt.sentence


def test_the_settings_decide() -> None:
    columns = table(label=CLASS, kind=CLASS[::-1], split=SPLIT)
    found = find_columns(columns, own(label_column="kind", split_column="", name_column=""), image="image")
    assert (found.label, found.split, found.name) == ("kind", None, None)
    assert find_columns(columns, own(metadata=["split"]), image="image").split is None


def test_a_table_without_labels_has_none() -> None:
    found = find_columns(table(size=[float(i) for i in range(N)], serial=UNIQUE), own(), image="image")
    assert (found.label, found.notes.doubts) == (None, [])


@pytest.mark.parametrize("values", [UNIQUE * 2, ["a", "b"] * N])
def test_a_column_called_set_is_of_splits_only_if_a_value_is(values: list[str]) -> None:
    frame = pl.DataFrame({"image": [f"{i}" for i in range(2 * N)], "label": CLASS * 2, "set": values})
    assert find_columns(frame, own(), image="image").split is None
    frame = frame.with_columns(set=pl.Series(["Training", "PrivateTest"] * N))
    assert find_columns(frame, own(), image="image").split == "set"


@pytest.mark.parametrize("column", ["phase", "type", "用途"])
def test_a_column_of_nothing_but_splits_is_one_of_splits_whatever_it_is_called(column: str) -> None:
    found = find_columns(table(label=CLASS, **{column: ["Train", "Train", "Val", "Test"] * 3}), own(), image="image")
    assert found.split == column
    assert found.notes.remarks == [
        f"The splits are those of the column {column!r}, as its values are 'Test', 'Train', 'Val'."
    ]
    named = table(label=CLASS, Aufteilung=["Training", "Prüfung"] * 6)
    assert find_columns(named, own(), image="image").split == "Aufteilung"
    for values in (["train", "plane"] * 6, ["train"] * N, ["val", "test"] * 6):
        assert find_columns(table(label=CLASS, **{column: values}), own(), image="image").split is None
    assert find_columns(table(label=["train", "test"] * 6), own(), image="image").split is None
    assert find_columns(table(label=CLASS, **{column: SPLIT}), own(split_column=""), image="image").split is None


def test_several_columns_of_splits_are_asked_about() -> None:
    found = find_columns(table(label=CLASS, first=["train", "test"] * 6, second=SPLIT), own(), image="image")
    (doubt,) = found.notes.doubts
    assert (doubt.setting, doubt.suggestion, found.split) == ("split_column", "first", "first")


@pytest.mark.parametrize("column", ["is_train", "isTest", "in_test", "train", "is_training_image"])
def test_a_flag_that_is_named_after_a_split_is_one_of_splits(column: str) -> None:
    for values in ([0, 1] * 6, [True, False] * 6, ["yes", "no"] * 6):
        assert find_columns(table(label=CLASS, **{column: values}), own(), image="image").split == column
    assert find_columns(table(label=CLASS, **{column: [0, 2] * 6}), own(), image="image").split is None
    assert find_columns(table(label=CLASS, test=[True, False] * 6), own(), image="image").split == "test"
    for other in ("test", "is_tested", "istanbul", "train_station", "in_focus"):
        assert find_columns(table(label=CLASS, **{other: [0, 1] * 6}), own(), image="image").split is None


def test_a_column_called_name_that_repeats_names_no_images_and_one_of_splits_is_no_label() -> None:
    found = find_columns(table(name=CLASS), own(), image="image")
    assert found.name is None and found.notes.doubts[0].suggestion == "name"
    assert find_columns(table(name=CLASS), own(name_column="name"), image="image").name == "name"
    assert find_columns(table(partition=[0, 1] * 6), own(split_column=""), image="image").notes.doubts == []


def test_a_partition_may_be_numbered_but_not_a_data_set() -> None:
    assert find_columns(table(label=CLASS, partition=[0, 1, 2] * 4), own(), image="image").split == "partition"
    assert find_columns(table(label=CLASS, partition=[0, 5, 9] * 4), own(), image="image").split is None
    assert find_columns(table(label=CLASS, dataset=[0, 1, 2] * 4), own(), image="image").split is None


@pytest.mark.parametrize("label", ["Klasse", "étiquette", "标签", "Метка", "ClassId", "true_label", "Finding Labels"])
def test_names_of_labels_of_other_languages_and_tools_are_not_asked_about(label: str) -> None:
    found = find_columns(table(**{label: CLASS, "camera": CLASS}), own(), image="image")
    assert found.label == label and found.notes.doubts == []


def test_the_question_for_labels_may_be_answered_with_none() -> None:
    (doubt,) = find_columns(table(camera=CLASS), own(), image="image").notes.doubts
    assert '"" is for images without labels' in doubt.sentence
    found = find_columns(table(camera=CLASS), own(label_column=""), image="image")
    assert (found.label, found.notes.doubts) == (None, [])


@pytest.mark.parametrize("setting", ["label_column", "split_column", "name_column", "group_column", "metadata"])
def test_a_column_that_the_table_lacks_is_named_with_those_it_has(setting: str) -> None:
    value: Any = ["kind"] if setting == "metadata" else "kind"
    with pytest.raises(UserError, match=r"no column 'kind': its columns are image, label\.$"):
        find_columns(table(label=CLASS), own(**{setting: value}), image="image")
