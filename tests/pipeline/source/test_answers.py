"""Answers to doubts: given, stored or taken; and how they are asked for and written."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.errors import UsageError
from pipeline.config.dataset import DatasetSettings, PredictionSettings
from pipeline.source.answers import Assumed, ask, is_given, suggest, to_toml, with_answers
from pipeline.source.notes import Doubt

OWN = DatasetSettings(source=Path("photos"), labels={"Cat": "cat"})
VALUES = st.recursive(
    st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def test_an_answer_fills_a_setting_and_extends_a_table() -> None:
    answers = [Assumed("class_level", 2, ""), Assumed("labels", {"CAT": "cat", "Cat": "lion"}, "")]
    answered = with_answers(OWN, answers)
    assert (answered.class_level, answered.labels) == (2, {"CAT": "cat", "Cat": "cat"})
    assert answered.size == OWN.size


def test_an_answer_within_a_section_opens_it() -> None:
    answered = with_answers(OWN, [Assumed("predictions.logits", True, "")])
    assert answered.predictions is not None and answered.predictions.logits is True


def test_what_the_settings_say_is_kept() -> None:
    said = DatasetSettings(source=Path("photos"), class_level=1)
    assert with_answers(said, [Assumed("class_level", 2, "")]).class_level == 1


def test_an_answer_that_is_no_longer_valid_is_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"assumed for class_level is not valid any more: set it yourself"):
        with_answers(OWN, [Assumed("class_level", "two", "")])


def test_given_is_what_the_settings_name() -> None:
    said = DatasetSettings(source=Path("p"), predictions=PredictionSettings(logits=True), group_column="")
    assert is_given(said, "predictions.logits") and is_given(said, "group_column")
    assert not is_given(said, "predictions.classes") and not is_given(said, "class_level")
    assert not is_given(OWN, "predictions.logits")


def test_the_question_names_every_setting_and_can_be_pasted() -> None:
    doubts = [
        Doubt("labels", "'Cat' (3) and 'cat' (90) may be one class.", {"Cat": "cat"}),
        Doubt("predictions.logits", "The numbers add up to -3 to 12.", True),
    ]
    text = str(ask("photos", doubts, where="latentlake.toml"))
    assert "unclear in 2 points" in text and "--yes" in text
    assert all(doubt.sentence in text for doubt in doubts)
    assert [suggest(doubt) for doubt in doubts] == [
        '[dataset]  labels = { Cat = "cat" }',
        "[dataset.predictions]  logits = true",
    ]


@given(VALUES)
def test_a_suggestion_is_toml(value: Any) -> None:
    assert tomllib.loads(f"value = {to_toml(value)}")["value"] == value
