"""Columns whose values look like patients, sites or series, whose images belong together.

If the images of a patient lie in training and in test, a classifier may recognise the patient instead of the class.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.text.missing_words import MISSING

WORDS = (
    "patient subject subj pid mrn lesion person participant case individual animal specimen donor plant paciente "
    "paziente patienten proband probanden probe proben fallnummer fallnr "
    "aktenzeichen sujet sujeto personne persona individuo 患者 病人 被试 пациент",
    "study series session scan exam examination visit accession video clip scene sequence track burst slide wsi plot "
    "acquisition recording estudio étude untersuchung serie vidéo видео",
    "camera cam site hospital clinic center centre institution station device scanner author user owner photographer "
    "uploader farm ort standort klinik hôpital lieu auteur autor",
)
"""Words for what is in the images, for images taken one after the other, and for where they come from."""
RANK_OF = {word: rank for rank, words in enumerate(WORDS) for word in words.split()}
BY_ID, BY_LABELS = 3, 4
NUMBERED = re.compile(r"(nummern?|numbers?|nr|num|no|codes?|编号|編號|番号|号|id)$")
"""What a word may end with that says no more than that it is an id, as in Patientennummer."""
_NOT_GROUP_WORDS = (
    "class subclass superclass label category subcategory target annotator rater reader labeler labeller fold split "
    "age sex gender race ethnicity weight height width size area type kind status stage grade score diagnosis date "
    "time year month count position view side orientation quality description caption tag species genus family breed "
    "anatom anatomic anatomical anatomy body"
)
NO_GROUPS = frozenset(_NOT_GROUP_WORDS.split())
"""Words for what describes images or their patients, and may well be the same for several: patient_age."""
MOST_PER_IMAGE = 1 / 1.2
"""Distinct values per image above which a column names the images themselves."""
SMALL_GROUPS = (2, 50)
"""Sizes of groups that are suspected by their labels only."""
MIXED_BY_CHANCE = 10.0
"""Groups that would have several labels by chance, from which it is no chance that none has."""
LEAST_GROUPS = 5
"""Groups from which it may be asked whether to keep them in one split: fewer cannot fill three splits."""
MEASURED = ("train", "validation", "test")


@dataclass(frozen=True)
class GroupSuspect:
    """A column whose values look like groups of images that belong together; lower ranks are likelier."""

    column: str
    values: int
    images: int
    """Images that have a value."""
    largest: int
    """Images of the largest group."""
    rank: int
    """0 by a name such as patient, 1 series, 2 site, 3 another id, 4 only because each value has one label."""


def suspect_groups(
    columns: dict[str, pl.Series],
    labels: Sequence[str | None],
    *,
    images: int,
    splits: Sequence[str | None] | None = None,
) -> list[GroupSuspect]:
    """The columns that look like groups, likeliest first; each has one row per image, as have `labels` and `splits`.

    A column is suspected by its name or because each of its values has only one label, if most of its values occur
    several times. Constants, unique values, measurements, and columns that follow from the label or the split are not.
    """
    suspects = []
    given = [pl.Series(values, dtype=pl.String) for values in (labels, splits) if values is not None]
    for name, column in columns.items():
        values = as_groups(column)
        if values is None or not _has_the_shape(values, images):
            continue
        if any(_follows_from(values, other) for other in given):
            continue
        rank = _rank(name)
        if rank is None and not _words(name) & NO_GROUPS and _has_one_label_each(values, given[0]):
            rank = BY_LABELS
        if rank is not None:
            sizes = _sizes(values)
            suspects.append(GroupSuspect(name, len(sizes), int(sizes.sum()), int(sizes.max()), rank))
    return sorted(suspects, key=lambda suspect: (suspect.rank, -suspect.images, -suspect.values, suspect.column))


def shared_groups(group: pl.Series, split: pl.Series) -> pl.DataFrame:
    """The groups with images in more than one of train, validation and test: group, and the images in each."""
    counts = [(pl.col("split") == name).sum().alias(name) for name in MEASURED]
    rows = pl.DataFrame({"group": group.cast(pl.String), "split": split.cast(pl.String)}).drop_nulls()
    counted = rows.group_by("group", maintain_order=True).agg(counts)
    return counted.filter(pl.sum_horizontal(pl.col(name) > 0 for name in MEASURED) > 1)


def as_groups(column: pl.Series) -> pl.Series | None:
    """The values as text, null where they are missing; None if they are measurements, times or nested."""
    if column.dtype.is_nested() or column.dtype.is_temporal() or column.dtype in (pl.Binary, pl.Boolean, pl.Object):
        return None
    values = as_text(column)
    numbers = values.drop_nulls().cast(pl.Float64, strict=False)
    is_measured = len(numbers) > 0 and not numbers.null_count() and bool((numbers != numbers.round()).any())
    return None if is_measured else values


def as_text(column: pl.Series) -> pl.Series:
    """The values without blanks at their ends, null where they are missing."""
    texts = column.cast(pl.String).str.strip_chars()
    return texts.set(texts.str.to_lowercase().is_in(list(MISSING)).fill_null(value=False), None)


def _sizes(values: pl.Series) -> NDArray[np.int64]:
    """How often each value occurs."""
    return values.drop_nulls().value_counts()["count"].to_numpy()


def _has_the_shape(values: pl.Series, images: int) -> bool:
    """Whether there are several values, fewer than images, and most of them occur more than once."""
    sizes = _sizes(values)
    return 2 <= len(sizes) <= images * MOST_PER_IMAGE and float((sizes > 1).mean()) > 0.5


def _follows_from(values: pl.Series, other: pl.Series) -> bool:
    """Whether each label (or split) has one value only, as a superclass has."""
    pairs = pl.DataFrame({"value": values, "other": other}).drop_nulls().unique()
    return len(pairs) > 0 and not pairs["other"].is_duplicated().any()


def _has_one_label_each(values: pl.Series, labels: pl.Series) -> bool:
    """Whether all groups are small and of one label, although by chance many would be mixed."""
    rows = pl.DataFrame({"value": values, "label": labels}).drop_nulls()
    groups = rows.group_by("value").agg(size=pl.len(), labels=pl.col("label").n_unique())
    smallest, largest = SMALL_GROUPS
    if not len(groups) or (groups["labels"] > 1).any() or not (groups["size"] <= largest).all():
        return False
    sizes, times = np.unique(groups.filter(pl.col("size") >= smallest)["size"].to_numpy(), return_counts=True)
    shares = _sizes(rows["label"]) / len(rows)
    return _expect_mixed(sizes, times, shares) >= MIXED_BY_CHANCE


def _expect_mixed(sizes: NDArray[np.int64], times: NDArray[np.int64], shares: NDArray[np.float64]) -> float:
    """How many groups would have several labels if labels were independent of groups."""
    return float(sum(n * (1 - (shares**size).sum()) for size, n in zip(sizes, times, strict=True)))


def _rank(name: str) -> int | None:
    """The rank by the name of a column; None if it does not sound like groups."""
    words = _words(name)
    if words & NO_GROUPS:
        return None
    ranks = [RANK_OF[word] for word in words if word in RANK_OF]
    return min(ranks, default=BY_ID if words & {"id", "uid"} else None)


def _words(name: str) -> set[str]:
    """The words of a name such as PatientID or Patientennummer, also without an s, id or number at their ends."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFC", name)).casefold()
    words = [word for word in re.split(r"[\W_\d]+", spaced) if word]
    return {form for word in words for form in (word, word.removesuffix("s"), NUMBERED.sub("", word))} - {""}
