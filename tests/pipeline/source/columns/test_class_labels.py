"""Integer labels get the names that their source declares, and nothing else does."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.errors import UserError
from pipeline.source.columns.class_labels import name_labels, read_class_names

LABEL = pl.Schema({"label": pl.Int64})
CATS = {"names": ["cat", "dog"], "_type": "ClassLabel"}
README = """---
license: mit
dataset_info:
  features:
  - name: image
    dtype: image
  - name: label
    dtype:
      class_label:
        names:
          '10': k
          '0': no
          '1': 'yes'
          '2': c
          '3': d
          '4': e
          '5': f
          '6': g
          '7': h
          '8': i
          '9': j
---
# A dataset
"""


def embedded(features: dict[str, Any]) -> dict[str, str]:
    return {"huggingface": json.dumps({"info": {"features": features}})}


@pytest.mark.parametrize(
    "feature",
    [
        CATS,
        {"num_classes": 2, **CATS},
        [CATS],
        {"feature": CATS, "_type": "Sequence"},
        {"feature": CATS, "_type": "List"},
    ],
)
def test_the_metadata_of_a_schema_names_classes(feature: Any) -> None:
    assert read_class_names(LABEL, embedded({"label": feature}), [], {}) == {"label": ["cat", "dog"]}


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"huggingface": "{"},
        {"huggingface": "[]"},
        {"huggingface": "null"},
        {"huggingface": '{"info": null}'},
        embedded({"label": {"_type": "ClassLabel"}}),
        embedded({"label": {"_type": "ClassLabel", "names": ["a", "a"]}}),
        embedded({"label": {"_type": "ClassLabel", "names": [1, 2]}}),
        embedded({"label": {"_type": "Value", "dtype": "int64"}}),
        embedded({"other": CATS}),
    ],
)
def test_what_names_no_class_of_the_column_names_nothing(metadata: dict[str, str]) -> None:
    assert read_class_names(LABEL, metadata, [], {}) == {}


def test_a_column_that_is_no_integer_keeps_its_values(tmp_path: Path) -> None:
    assert read_class_names(pl.Schema({"label": pl.String}), embedded({"label": CATS}), [tmp_path], {}) == {}


def test_a_label_within_a_struct_is_named_by_its_path() -> None:
    schema = pl.Schema({"label": pl.Struct({"fine": pl.Int64, "text": pl.String})})
    features = {"label": {"fine": CATS, "text": CATS}}
    assert read_class_names(schema, embedded(features), [], {}) == {"label.fine": ["cat", "dog"]}


def test_the_front_matter_of_a_readme_names_classes_by_number_and_as_written(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(README)
    names = read_class_names(LABEL, {}, [tmp_path / "data", tmp_path], {})
    assert names == {"label": ["no", "yes", *"cdefghijk"]}


@pytest.mark.parametrize("text", ["# A dataset\n", "---\n- [\n---\n", "---\na: b\n", "", "---\ndataset_info: 3\n---\n"])
def test_a_readme_without_names_is_no_trouble(text: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(text)
    assert read_class_names(LABEL, {}, [tmp_path], {}) == {}


def test_of_several_configurations_that_of_the_folder_counts_and_otherwise_what_all_say(tmp_path: Path) -> None:
    infos = {
        name: {"features": {"label": {**CATS, "names": names}}}
        for name, names in (("a", ["x", "y"]), ("b", ["y", "x"]))
    }
    (tmp_path / "dataset_infos.json").write_text(json.dumps(infos))
    assert read_class_names(LABEL, {}, [tmp_path / "b", tmp_path], {}) == {"label": ["y", "x"]}
    assert read_class_names(LABEL, {}, [tmp_path], {}) == {}
    (tmp_path / "dataset_infos.json").write_text(json.dumps({"a": infos["a"], "c": infos["a"]}))
    assert read_class_names(LABEL, {}, [tmp_path], {}) == {"label": ["x", "y"]}


def test_configurations_in_a_readme_are_told_apart_too(tmp_path: Path) -> None:
    one = "- config_name: {}\n  features:\n  - name: label\n    dtype:\n      class_label:\n        names: [{}]\n"
    (tmp_path / "README.md").write_text(f"---\ndataset_info:\n{one.format('a', 'x, y')}{one.format('b', 'y, x')}---\n")
    assert read_class_names(LABEL, {}, [tmp_path / "a", tmp_path], {}) == {"label": ["x", "y"]}
    assert read_class_names(LABEL, {}, [tmp_path], {}) == {}


def test_the_file_itself_counts_more_than_what_lies_beside_it(tmp_path: Path) -> None:
    info = {"features": {"label": {**CATS, "names": ["old", "older"]}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    assert read_class_names(LABEL, embedded({"label": CATS}), [tmp_path], {}) == {"label": ["cat", "dog"]}
    assert read_class_names(LABEL, {}, [tmp_path], {}) == {"label": ["old", "older"]}


def test_an_enumeration_declares_its_order() -> None:
    schema = pl.Schema({"size": pl.Enum(["small", "large"]), "any": pl.Categorical()})
    assert read_class_names(schema, {}, [], {}) == {"size": ["small", "large"]}


# --- labels


def test_integers_become_names_and_minus_one_is_no_label() -> None:
    assert name_labels(pl.Series([1, 0, -1, None]), ["cat", "dog"]).to_list() == ["dog", "cat", None, None]


def test_without_names_labels_stay_as_they_are_written() -> None:
    assert name_labels(pl.Series([1, -1, None]), None).to_list() == ["1", "-1", None]
    assert name_labels(pl.Series(["cat", "1"]), ["x", "y"]).to_list() == ["cat", "1"]
    assert name_labels(pl.Series(["b", "a"], dtype=pl.Enum(["b", "a"])), ["b", "a"]).to_list() == ["b", "a"]


@pytest.mark.parametrize("wrong", [2, -2, 2**40])
def test_an_integer_without_a_name_is_refused(wrong: int) -> None:
    with pytest.raises(UserError, match=rf"The column 'label' has {wrong:,}, but the source names 2 classes, 0 to 1"):
        name_labels(pl.Series("label", [0, wrong]), ["cat", "dog"])


def test_lists_of_one_label_are_that_label_and_of_several_are_refused() -> None:
    assert name_labels(pl.Series([[1], [0], [], None]), ["cat", "dog"]).to_list() == ["dog", "cat", None, None]
    assert name_labels(pl.Series([[1], [0]], dtype=pl.Array(pl.Int64, 1)), None).to_list() == ["1", "0"]
    with pytest.raises(UserError, match="The column 'tags' has several labels in a row, such as 2 in one: every image"):
        name_labels(pl.Series("tags", [[1], [0, 1]]), ["cat", "dog"])
    with pytest.raises(UserError, match="which is no class: choose another label_column"):
        name_labels(pl.Series([{"fine": 1}]), None)
