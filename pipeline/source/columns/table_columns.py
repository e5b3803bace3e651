"""Which columns of a table hold the label, the split and the name, where the settings do not say.

A column is taken if its name says so and no other column does; a label that only its values suggest is asked for.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import polars as pl

from pipeline.config.dataset import DatasetSettings
from pipeline.source.columns.one_hot import FEW, find_one_hot
from pipeline.source.errors import NoColumn
from pipeline.source.meaning.split_names import find_split, map_splits
from pipeline.source.notes import Doubt, Notes

NAMES = {
    "label": "label labels class classes category target y species breed diagnosis dx emotion variety classname "
    "class_name label_name category_name classlabel class_label fine_label ground_truth truth y_true true_label "
    "true_labels true_class label_true gt gt_label actual actual_label actual_class finding_labels class_id label_id "
    "category_id target_id klasse kategorie etikett clase categoría categoria etiqueta classe catégorie étiquette "
    "etichetta diagnose diagnóstico diagnostic befund 标签 类别 標籤 類別 ラベル クラス 레이블 라벨 "
    "класс метка категория",
    "split": "split splits set subset partition usage fold_name data_split dataset aufteilung datensatz conjunto "
    "división divisão répartition ensemble 划分 劃分 数据集 分割 выборка",
    "name": "name image_name sample_name row_name",
}
"""Names of columns by their meaning, without case and separators, the commonest first."""
CODED_SPLITS = {"split", "splits", "data_split", "set", "subset", "partition"}
"""Names of columns in which splits may be numbers."""
CODES = ({"0", "1"}, {"1", "2"}, {"0", "1", "2"}, {"1", "2", "3"})
BINARY = ({"0", "1"}, {"false", "true"}, {"no", "yes"}, {"f", "t"}, {"n", "y"})
MOST_SPLITS = 20
FLAG = re.compile(r"(is|in|for|use[_ ]for)[_ ]?(?=[a-z])", re.IGNORECASE)
"""What the name of a column of flags begins with if it is one of splits, as in is_train."""
BARE_FLAGS = {"train", "training", "trainset", "trainingset"}
BOOLEAN_FLAGS = {"test", "testset", "holdout"}
"""Names of flags without such a beginning; those of the second kind only of true and false, as 1 may be a result."""
MOST_REPEATED = 0.5
"""Fewer distinct values than this share of the rows are no names of images."""
MOST_CLASSES, LEAST_IMAGES = 1000, 2
"""A column is like labels if it has at most so many values, and so many rows for each on average."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table by their meaning; None if it has none."""

    label: str | None
    split: str | None
    name: str | None
    notes: Notes = field(default_factory=Notes)
    one_hot: list[str] = field(default_factory=list)
    """One column of 0 and 1 for each class, if those are the labels."""


def find_columns(table: pl.DataFrame, own: DatasetSettings, *, image: str | None) -> Columns:
    """The columns as the settings name them or as they are found; `image` is the column of the images.

    Raises `NoColumn` if the table lacks a column that the settings name.
    """
    _check_named(table.columns, own)
    notes = Notes()
    free = [column for column in table.columns if column != image and column not in _settled(own)]
    split = _choose(own.split_column, free, "split", lambda column: _is_of_splits(table[column]))
    label = _choose(own.label_column, free, "label")
    if split is None and own.split_column is None:
        split = _find_splits(table, [column for column in free if column != label], notes)
    one_hot: list[str] = []
    if label is None and own.label_column is None and own.predictions is None:
        one_hot = _find_one_hot(table, [column for column in free if column != split], notes)
    if label is None and own.label_column is None and not one_hot:
        label = _ask_for_label(table, [column for column in free if column != split], own, notes)
    elif label and _plain(label) != "label" and own.label_column is None:
        notes.remarks.append(f"The labels are those of the column {label!r}.")
    rest = [column for column in free if column not in (split, label)]
    name = _choose(own.name_column, rest, "name", lambda column: _is_of_names(table[column]))
    return Columns(label, split, name, notes, one_hot)


def _settled(own: DatasetSettings) -> list[str]:
    return [*own.metadata, *(column for column in (own.group_column,) if column)]


def _check_named(columns: list[str], own: DatasetSettings) -> None:
    keys = ("image_column", "label_column", "split_column", "name_column", "group_column")
    named = [*(getattr(own, key) for key in keys), *own.metadata]
    if absent := [column for column in named if column and column not in columns]:
        raise NoColumn(
            f"The dataset {own.source} has no column {absent[0]!r}: its columns are {', '.join(columns[:50])}.",
            absent[0],
        )


def _choose(named: str | None, columns: list[str], meaning: str, fits: Callable[[str], bool] = bool) -> str | None:
    """The column that the setting names, "" meaning none; otherwise the first in the order of `NAMES`."""
    if named is not None:
        return named or None
    plain = {_plain(column): column for column in reversed(columns)}
    found = (plain[word] for word in map(_plain, NAMES[meaning].split()) if word in plain)
    return next((column for column in found if fits(column)), None)


def _plain(column: str) -> str:
    return "".join(c for c in column.casefold() if c.isalnum())


def _is_of_splits(values: pl.Series) -> bool:
    """Whether a column that is called like one of splits has few values, of which one is a split as we know them."""
    texts = _few_texts(values)
    is_coded = values.name.casefold() in CODED_SPLITS and {text.removesuffix(".0") for text in texts} in CODES
    return any(map_splits(texts).values()) or is_coded or (bool(texts) and values.name.casefold() == "split")


def _is_of_names(values: pl.Series) -> bool:
    """Whether most values are unique: a column called name may hold the name of the class."""
    return not values.dtype.is_nested() and values.n_unique() > MOST_REPEATED * len(values)


def _few_texts(values: pl.Series) -> list[str]:
    """The distinct values as text; none if there are more than splits have."""
    if values.dtype.is_nested() or values.dtype == pl.Binary or values.n_unique() > MOST_SPLITS:
        return []
    return _texts(values)


def _texts(values: pl.Series) -> list[str]:
    """The distinct values as text without blanks at their ends."""
    return sorted(set(values.cast(pl.String, strict=False).drop_nulls().str.strip_chars()) - {""})


def _find_splits(table: pl.DataFrame, columns: list[str], notes: Notes) -> str | None:
    """The column that can only be one of splits, whatever it is called: by its values, otherwise by flags."""
    found = [column for column in columns if _are_splits(_few_texts(table[column]))]
    if len(found) > 1:
        sentence = f'{len(found):,} columns may name the splits: {_quote(found)}; "" draws the splits instead.'
        notes.doubts.append(Doubt("split_column", sentence, found[0]))
    elif found:
        values = _quote(_few_texts(table[found[0]]))
        notes.remarks.append(f"The splits are those of the column {found[0]!r}, as its values are {values}.")
    return next((column for column in [*found, *columns] if column in found or _is_flag(table[column])), None)


def _are_splits(texts: list[str]) -> bool:
    splits = set(map_splits(texts).values())
    return None not in splits and "train" in splits and bool(splits & {"test", "validation"})


def _is_flag(values: pl.Series) -> bool:
    """Whether a column is named after a split, such as is_train, and says yes or no."""
    texts = {text.casefold() for text in _few_texts(values)}
    if texts not in BINARY:
        return False
    name, bare = values.name, _plain(values.name)
    is_named = bool(FLAG.match(name)) and find_split(FLAG.sub("", name, count=1)) is not None
    return is_named or bare in BARE_FLAGS or (bare in BOOLEAN_FLAGS and texts == {"false", "true"})


def _find_one_hot(table: pl.DataFrame, columns: list[str], notes: Notes) -> list[str]:
    """The columns of 0 and 1 that are the labels; two are only if no other column may be."""
    found = find_one_hot(table, columns)
    if len(found) < FEW and any(_is_like_labels(table[column]) for column in columns if column not in found):
        return []
    if found:
        notes.remarks.append(
            f"The labels are {len(found):,} columns of 0 and 1, {found[0]!r} to {found[-1]!r}: every row has one 1."
        )
    return found


def _ask_for_label(table: pl.DataFrame, columns: list[str], own: DatasetSettings, notes: Notes) -> str | None:
    """The column most like labels, as a doubt; None if there is none, which may be right with predictions alone."""
    splits = set(map(_plain, NAMES["split"].split()))
    candidates = [column for column in columns if _is_like_labels(table[column]) and _plain(column) not in splits]
    if not candidates:
        return None
    likely = min(candidates, key=lambda column: (_is_id(column), columns.index(column)))
    others = _quote(column for column in candidates if column != likely)
    notes.doubts.append(
        Doubt(
            "label_column",
            f"No column of {own.source} is called label. The values of {likely!r} are like labels"
            + (f", and those of {others} too" if others else "")
            + '; "" is for images without labels.',
            likely,
        )
    )
    return likely


def _is_like_labels(values: pl.Series) -> bool:
    if not (values.dtype == pl.String or values.dtype.is_integer() or values.dtype in (pl.Categorical, pl.Enum)):
        return False
    distinct = values.drop_nulls().n_unique()
    return 2 <= distinct <= MOST_CLASSES and distinct * LEAST_IMAGES <= len(values) - values.null_count()


def _is_id(column: str) -> bool:
    return column.casefold() == "id" or column.casefold().endswith(("_id", " id"))


def _quote(columns: Iterable[str]) -> str:
    return ", ".join(map(repr, columns))
