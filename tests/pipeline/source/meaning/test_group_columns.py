"""Columns of patients and the like are suspected; descriptions, measurements, ids and classes are not."""

import numpy as np
import polars as pl
import pytest

from lake.query.leaks.suspected_groups import GroupSuspect, shared_groups, suspect_groups
from pipeline.source.meaning.group_columns import ask_for_groups, tell_groups_in_names

IMAGES = 200
PATIENT = [i // 5 for i in range(IMAGES)]
LABELS = [["benign", "malignant"][p % 2] for p in PATIENT]
"""40 patients of five images and one label each."""
MIXED = [["benign", "malignant"][i % 2] for i in range(IMAGES)]
"""Labels that say nothing about the patient."""
GROUPS = pl.Series([f"p{p:02d}" for p in PATIENT])


def suspect(
    name: str, values: pl.Series, labels: list[str] | None = None, splits: list[str] | None = None
) -> list[GroupSuspect]:
    return suspect_groups({name: values}, labels or MIXED, images=IMAGES, splits=splits)


# --- columns


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        *[(name, 0) for name in ("patient", "PatientID", "patient_id", "Subject", "lesion_id", "case", "case_number")],
        *[(name, 0) for name in ("paciente", "Patienten-ID", "患者", "id_patient", "animal_id", "persons")],
        *[(name, 0) for name in ("Patientennummer", "PatientenNr.", "Probandennummer", "患者编号", "patient_no")],
        *[(name, 1) for name in ("series", "StudyInstanceUID", "video", "scene_id", "slide", "plot", "track")],
        *[(name, 2) for name in ("camera_id", "site", "hospital", "author", "user_id", "scanner")],
        *[(name, 3) for name in ("mouse_id", "bag_uid", "id")],
    ],
)
def test_columns_are_suspected_by_their_name(name: str, rank: int) -> None:
    assert suspect(name, GROUPS) == [GroupSuspect(name, 40, 200, 5, rank)]


@pytest.mark.parametrize(
    "values", [GROUPS, pl.Series(PATIENT), pl.Series(PATIENT).cast(pl.Float64), GROUPS.cast(pl.Categorical)]
)
def test_groups_are_text_or_whole_numbers(values: pl.Series) -> None:
    assert [found.values for found in suspect("patient", values)] == [40]


@pytest.mark.parametrize(
    "name",
    [
        "patient_age",
        "PatientSex",
        "study_date",
        "lesion_type",
        "scene_view",
        "anatom_site_general",
        "annotator_id",
        "fold",
    ],
)
def test_descriptions_are_not_suspected(name: str) -> None:
    assert suspect(name, GROUPS) == []
    assert suspect(name, GROUPS, LABELS) == []


@pytest.mark.parametrize(
    "values",
    [
        pl.Series(["p1"] * IMAGES),
        pl.Series([f"p{i}" for i in range(IMAGES)]),
        pl.Series([f"p{i}" for i in range(IMAGES - 5)] + ["p0"] * 5),
        pl.Series([i // 5 + 0.25 for i in range(IMAGES)]),
        pl.Series([str(i // 5 + 0.25) for i in range(IMAGES)]),
        pl.Series(["", "nan", None, "N/A"] * 50),
        pl.Series([[p] for p in PATIENT]),
        pl.Series([p % 2 == 0 for p in PATIENT]),
    ],
    ids=["constant", "unique", "nearly unique", "measured", "measured text", "missing", "nested", "flags"],
)
def test_columns_of_another_shape_are_not_suspected(values: pl.Series) -> None:
    assert suspect("patient", values) == []


def test_a_column_that_follows_from_the_label_or_the_split_is_not_suspected() -> None:
    digits = [str(i % 10) for i in range(IMAGES)]
    splits = [["train", "test"][i % 2] for i in range(IMAGES)]
    assert suspect("subject", pl.Series(digits), digits) == []
    assert suspect("subject", pl.Series([int(digit) // 5 for digit in digits]), digits) == []
    assert suspect("subject", pl.Series(splits), splits=splits) == []
    assert suspect("subject", pl.Series(digits), splits=splits)


def test_missing_values_are_no_group() -> None:
    values = pl.Series([None if i % 5 == 0 else "nan" if i % 5 == 1 else f"p{p}" for i, p in enumerate(PATIENT)])
    assert suspect("patient", values) == [GroupSuspect("patient", 40, 120, 3, 0)]


def test_small_groups_of_one_label_are_suspected_whatever_their_name() -> None:
    assert [found.rank for found in suspect("batch_7", GROUPS, LABELS)] == [4]
    assert suspect("batch_7", GROUPS, MIXED) == []


@pytest.mark.parametrize("name", ["breed", "subclass", "category"])
def test_finer_classes_are_not_suspected(name: str) -> None:
    assert suspect(name, GROUPS, LABELS) == []


def test_one_label_each_says_nothing_if_nearly_all_images_have_that_label() -> None:
    assert suspect("colour", GROUPS, ["benign"] * (IMAGES - 5) + ["malignant"] * 5) == []


def test_the_likeliest_column_comes_first() -> None:
    columns = {"lot": GROUPS, "mouse_id": GROUPS, "site": GROUPS, "series": GROUPS, "patient": GROUPS}
    found = suspect_groups(columns, LABELS, images=IMAGES)
    assert [each.column for each in found] == ["patient", "series", "site", "mouse_id", "lot"]


# --- questions


def test_a_patient_column_is_asked_about_if_splits_are_drawn() -> None:
    columns = {"patient": GROUPS, "site": pl.Series([f"s{p % 7}" for p in PATIENT])}
    suspects = suspect_groups(columns, LABELS, images=IMAGES)
    notes = ask_for_groups(suspects, columns, [None] * IMAGES)
    (doubt,) = notes.doubts
    assert (doubt.setting, doubt.suggestion) == ("group_column", "patient")
    assert "40 values of the column 'patient' (or 'site')" in doubt.sentence
    assert not notes.remarks


def test_too_few_groups_to_fill_three_splits_are_a_remark() -> None:
    columns = {"hospital": pl.Series([f"h{p % 3}" for p in PATIENT])}
    notes = ask_for_groups(suspect_groups(columns, LABELS, images=IMAGES), columns, [None] * IMAGES)
    assert not notes.doubts
    assert "only 3 values" in notes.remarks[0]


def test_named_splits_that_share_patients_are_a_remark_with_counts() -> None:
    columns = {"patient": GROUPS}
    suspects = suspect_groups(columns, LABELS, images=IMAGES)
    splits: list[str | None] = ["test" if i % 5 == 0 and PATIENT[i] < 12 else "train" for i in range(IMAGES)]
    notes = ask_for_groups(suspects, columns, splits)
    assert not notes.doubts
    assert notes.remarks[0].startswith("12 of 40 values of the column 'patient' have images in more than one split")


def test_named_splits_that_keep_patients_on_one_side_need_no_word() -> None:
    columns = {"patient": GROUPS}
    splits: list[str | None] = ["train" if p < 28 else "validation" if p < 32 else "test" for p in PATIENT]
    notes = ask_for_groups(suspect_groups(columns, LABELS, images=IMAGES), columns, splits)
    assert not notes.doubts
    assert not notes.remarks


def test_nothing_suspected_is_nothing_asked() -> None:
    notes = ask_for_groups([], {}, [None] * IMAGES)
    assert not notes.doubts
    assert not notes.remarks


def test_groups_in_several_splits_are_counted_and_unlabeled_images_are_not_one() -> None:
    group = pl.Series(["a", "a", "b", "b", "c", "c", None, None])
    split = pl.Series(["train", "test", "train", "unlabeled", "test", "validation", "train", "test"])
    assert shared_groups(group, split).rows() == [("a", 1, 0, 1), ("c", 0, 1, 1)]
    assert shared_groups(pl.Series(np.arange(8)), split).is_empty()


@pytest.mark.parametrize("form", ["{label}/p{p}_{i}.png", "p{p}-img{i}.jpeg", "a/b/p{p} {i}"])
def test_names_that_begin_alike_are_a_remark(form: str) -> None:
    names = [form.format(p=p, i=i, label=LABELS[i]) for i, p in enumerate(PATIENT)]
    remark = tell_groups_in_names(names, LABELS)
    assert remark is not None
    assert "200 images have 40 beginnings such as 'p0'" in remark


@pytest.mark.parametrize("form", ["{label}/{i}.png", "{label}/{label}_{i}.png", "IMG_{i}.jpg", "{label}/scan{i}.png"])
def test_numbered_names_are_no_groups(form: str) -> None:
    names = [form.format(i=i, label=label) for i, label in enumerate(LABELS)]
    assert tell_groups_in_names(names, LABELS) is None
    assert tell_groups_in_names([f"p{p}_{i}.png" for i, p in enumerate(PATIENT)], MIXED) is None
