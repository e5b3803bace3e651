"""Missing labels are unlabeled, whole floats integers; near-equal names are asked about; classes stay classes."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.source.meaning.labels import SettledLabels, settle_labels

PETS = ["cat", "dog"] * 30


def classes(settled: SettledLabels) -> set[str | None]:
    return set(settled.labels)


def suggestion(settled: SettledLabels) -> dict[str, str]:
    """What the only doubt suggests."""
    (doubt,) = settled.notes.doubts
    assert doubt.setting == "labels"
    return doubt.suggestion


# --- missing labels


@pytest.mark.parametrize(
    "word", ["", "  ", "nan", "NaN", "None", "null", "NULL", "N/A", "n/a", "NA", "<NA>", "#N/A", "-"]
)
def test_words_for_a_missing_value_are_no_label(word: str) -> None:
    settled = settle_labels([*PETS, word, None], {})
    assert settled.labels == [*PETS, None, None]
    assert not settled.notes.doubts
    assert [word.strip() in remark for remark in settled.notes.remarks] == ([True] if word.strip() else [])


def test_the_remark_on_missing_labels_counts_them() -> None:
    settled = settle_labels([*PETS, "nan", "nan", "N/A"], {})
    assert settled.notes.remarks == ["Taken as images without a label: 3 labelled 'nan', 'N/A'."]


@pytest.mark.parametrize(
    "name", ["nancy", "nation", "other", "background", "misc", "nothing", "negative", "null island"]
)
def test_names_that_hold_such_a_word_are_classes(name: str) -> None:
    settled = settle_labels([*PETS, name], {})
    assert classes(settled) == {"cat", "dog", name}
    assert not settled.notes.doubts
    assert not settled.notes.remarks


@pytest.mark.parametrize("word", ["nan", "NA", "None", "unknown", "-1", "-"])
def test_a_declared_class_is_never_missing(word: str) -> None:
    settled = settle_labels(["0", "1", "2", word] * 5, {}, classes=["0", "1", "2", word])
    assert word in classes(settled)
    assert not settled.notes.doubts


@pytest.mark.parametrize(
    ("labels", "word"), [("DE FR", "NA"), ("K Cl Ca", "Na"), ("JFK LHR", "NAN"), ("* #", "?"), ("de fr", "na")]
)
def test_a_word_among_codes_of_its_kind_is_asked_about(labels: str, word: str) -> None:
    settled = settle_labels([*labels.split(), word] * 9, {})
    assert suggestion(settled) == {word: word}
    assert word in classes(settled)


@pytest.mark.parametrize(
    ("labels", "word"), [("cat dog", "nan"), ("cat dog", "NA"), ("ok no", "NA"), ("0 1", "?"), ("A B", "-")]
)
def test_a_word_among_names_of_another_kind_is_missing(labels: str, word: str) -> None:
    settled = settle_labels([*labels.split() * 9, word], {})
    assert classes(settled) == {*labels.split(), None}
    assert not settled.notes.doubts


def test_plus_and_minus_are_classes() -> None:
    settled = settle_labels(["+", "-"] * 9, {})
    assert classes(settled) == {"+", "-"}
    assert not settled.notes.doubts


@pytest.mark.parametrize("others", [["crack", "hole"] * 9, ["mild", "severe"] * 90])
def test_none_is_asked_about_if_it_is_frequent_or_a_grade(others: list[str]) -> None:
    assert suggestion(settle_labels([*others, *["None"] * 8], {})) == {"None": "None"}


# --- labels that may be missing


@pytest.mark.parametrize(
    "name",
    [
        "unknown",
        "Unknown",
        "unlabeled",
        "_unsorted",
        "0_unlabeled",
        "unlabelled_new",
        "TODO",
        "not labeled",
        "未知",
        "unklar",
    ],
)
def test_names_that_may_mean_no_label_are_asked_about(name: str) -> None:
    settled = settle_labels([*PETS, name], {})
    assert suggestion(settled) == {name: ""}
    assert f"'{name}' (1 image)" in settled.notes.doubts[0].sentence


@pytest.mark.parametrize("name", ["unknown_person", "other", "0_other", "labeled", "known", "unsortable"])
def test_names_of_other_words_are_not_asked_about(name: str) -> None:
    assert not settle_labels([*PETS, name], {}).notes.doubts


@pytest.mark.parametrize("number", ["-1", "-99", "99", "255"])
def test_a_number_that_stands_for_no_value_is_asked_about(number: str) -> None:
    settled = settle_labels([*["0", "1", "2"] * 30, number], {})
    assert suggestion(settled) == {number: ""}


@pytest.mark.parametrize("labels", ["-1 1", "-2 -1 0 1 2", "-1 cat dog", "97 98 99 100", "254 255 256", "0 -1"])
def test_numbers_that_are_no_such_sign_are_classes(labels: str) -> None:
    settled = settle_labels(labels.split() * 9, {})
    assert classes(settled) == set(labels.split())
    assert not settled.notes.doubts


@pytest.mark.parametrize(("width", "third"), [(3, "-1"), (2, None)])
def test_the_width_of_predictions_decides_whether_minus_one_is_a_class(width: int, third: str | None) -> None:
    settled = settle_labels(["-1", "0", "1"] * 9, {}, width=width)
    assert classes(settled) == {"0", "1", third}
    assert not settled.notes.doubts
    assert "'-1'" in settled.notes.remarks[0]


# --- numbers


def test_whole_floats_are_integers_if_every_label_is_one() -> None:
    settled = settle_labels(["0.0", "1.0", "10.00", "-1.0", "nan", "3"], {"-1": ""})
    assert settled.labels == ["0", "1", "10", None, None, "3"]
    assert "'10.00' is the class '10'" in settled.notes.remarks[0]


@pytest.mark.parametrize("labels", ["0.5 1.0", "1.0 cat", "v1.0 v2.0", "1.0.0 2.0.0"])
def test_other_names_with_a_point_stay_as_they_are(labels: str) -> None:
    assert settle_labels(labels.split(), {}).labels == labels.split()


def test_declared_floats_stay_as_they_are() -> None:
    assert settle_labels(["1.0", "2.0"], {}, classes=["1.0", "2.0"]).labels == ["1.0", "2.0"]


def test_whole_floats_of_any_size_keep_every_digit() -> None:
    assert settle_labels(["12345678901234567891.0", "1.0"], {}).labels == ["12345678901234567891", "1"]


# --- spellings


def test_blanks_at_the_ends_and_the_unicode_form_are_merged() -> None:
    decomposed = unicodedata.normalize("NFD", "Möwe")
    settled = settle_labels(["Möwe", decomposed, " Möwe", "Möwe\u00a0", "Möwe\u200b", "dog"], {})
    assert settled.labels == ["Möwe"] * 5 + ["dog"]
    assert not settled.notes.doubts
    assert "are one class" in settled.notes.remarks[0]


def test_blanks_that_every_label_has_need_no_remark() -> None:
    settled = settle_labels(["cat ", "dog "], {})
    assert settled.labels == ["cat", "dog"]
    assert not settled.notes.remarks


def test_spellings_in_other_case_are_asked_about_with_the_commonest() -> None:
    settled = settle_labels([*["cat"] * 9, *["Cat"] * 3, "CAT", *["dog"] * 9], {})
    assert suggestion(settled) == {"Cat": "cat", "CAT": "cat"}
    assert "'Cat' (3 images) may be 'cat' (9 images)" in settled.notes.doubts[0].sentence
    assert classes(settled) == {"cat", "Cat", "CAT", "dog"}


@pytest.mark.parametrize(
    "pair", [("big cat", "big_cat"), ("big-cat", "BigCat"), ("grade 2", "Grade_2"), ("1", "01"), ("ﬁsh", "fish")]
)
def test_spellings_with_other_separators_are_asked_about(pair: tuple[str, str]) -> None:
    common, rare = pair
    assert suggestion(settle_labels([common, common, rare, "dog"], {})) == {rare: common}


@pytest.mark.parametrize("pair", ["cat cats", "1-2 12", "1 -1", "grade1 grade10", "café cafe", "C C++", "a_1 a1_1"])
def test_different_names_are_not_asked_about(pair: str) -> None:
    assert not settle_labels([*pair.split(), "dog"], {}).notes.doubts


def test_letters_in_both_cases_are_classes() -> None:
    letters = [*"abcdefABCDEF"]
    settled = settle_labels(letters * 3, {})
    assert classes(settled) == set(letters)
    assert not settled.notes.doubts
    assert "upper and lower case" in settled.notes.remarks[0]
    assert suggestion(settle_labels(["y", "y", "n", "Y"], {})) == {"Y": "y"}


def test_the_spelling_of_a_declared_class_is_right_even_if_it_is_rare() -> None:
    settled = settle_labels(["Cat", "Cat", "dog"], {}, classes=["cat", "dog"])
    assert suggestion(settled) == {"Cat": "cat"}
    assert not settle_labels(["Cat", "cat"], {}, classes=["cat", "Cat"]).notes.doubts


# --- the setting


def test_the_setting_overrides_everything() -> None:
    mapping = {"nan": "not a number", "unknown": "", "cat": "feline", "-1": "minus"}
    settled = settle_labels(["nan", " unknown", "cat ", "-1", "dog"], mapping)
    assert settled.labels == ["not a number", None, "feline", "minus", "dog"]
    assert not settled.notes.doubts
    assert not settled.notes.remarks


def test_a_name_as_it_is_written_goes_before_one_without_blanks() -> None:
    assert settle_labels(["cat ", "cat"], {"cat ": "x", "cat": "y"}).labels == ["x", "y"]


def test_an_identity_keeps_a_spelling_apart() -> None:
    written = [*["cat"] * 9, "Cat", "unknown", "dog"]
    settled = settle_labels(written, {"Cat": "Cat", "unknown": "unknown"})
    assert settled.labels == written
    assert not settled.notes.doubts


def test_the_suggestion_keeps_what_the_setting_has_already() -> None:
    assert suggestion(settle_labels(["a1", "unknown", "b"], {"a1": "a"})) == {"a1": "a", "unknown": ""}


def test_a_setting_that_names_no_label_is_told() -> None:
    (remark,) = settle_labels(PETS, {"kat": "cat"}).notes.remarks
    assert "'kat'" in remark


def test_all_doubts_are_one_with_at_most_three_examples() -> None:
    settled = settle_labels([*PETS, "Cat", "DOG", "unknown", "todo", "None", "nan"], {})
    assert suggestion(settled) == {"Cat": "cat", "DOG": "dog", "unknown": "", "todo": ""}
    assert settled.notes.doubts[0].sentence.endswith("; and 1 more.")
    assert settled.notes.doubts[0].sentence.count("may") == 3


ODD = "cat|Cat|cat |CAT|dog|None|nan|NA|unknown|_Unknown|-1|0|1|1.0|01|99|-|?|+|DE|fr|mild|a|A|big cat|Big-Cat"
WRITTEN = st.one_of(st.none(), st.sampled_from(ODD.split("|")), st.text("aA1.-_ ", max_size=4))


@settings(max_examples=60)
@given(st.lists(WRITTEN, max_size=60))
def test_the_suggestion_leaves_no_doubt_and_no_row_is_lost(written: list[str | None]) -> None:
    settled = settle_labels(written, {})
    assert len(settled.labels) == len(written)
    for doubt in settled.notes.doubts:
        accepted = settle_labels(written, doubt.suggestion)
        assert accepted.notes.doubts == []
        assert len(set(accepted.labels)) <= len(set(settled.labels))
