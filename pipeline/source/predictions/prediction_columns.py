"""Find external predictions in a table and read them as a matrix; what the numbers mean is not judged here.

They are a column of lists, of text that lists numbers, or of numbers named by their classes, one column per class, or a
NumPy file with the rows of the table. N rows, K numbers per row.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.errors import UserError
from pipeline.config.dataset import PredictionSettings
from pipeline.pixels.decode import Unusable
from pipeline.source.notes import Doubt, Notes
from pipeline.source.predictions.named_numbers import holds_named_numbers, read_named_numbers
from pipeline.source.predictions.number_lists import ARRAY_FILES, LOOKED_AT, holds_lists, read_array, read_lists
from pipeline.source.predictions.number_sums import MISSING
from pipeline.source.predictions.top_predictions import find_top, refuse_top
from pipeline.source.predictions.wide_columns import (
    WideColumns,
    add_unlabeled,
    find_summing,
    find_wide,
    has_prefix,
    is_numeric,
    read_wide,
    words_of,
)

SETTING = "predictions.column"
KINDS = {
    "probabilities": "probabilities probability probs prob proba p softmax sigmoid "
    "wahrscheinlichkeit wahrscheinlichkeiten probabilité probabilités probabilidad probabilidades probabilità "
    "概率 確率 вероятность",
    "scores": "scores score logits logit logp logprob logprobs",
    "outputs": "predictions prediction preds pred outputs output confidences confidence conf yhat",
}
WORDS = [word for words in KINDS.values() for word in words.split()]
"""Words of names of columns of predictions, the likeliest first."""
OTHERS = {
    "features": "embedding embeddings emb embed feature features feat feats vector vectors latent hidden",
    "labels": "true truth target targets label labels gt onehot box boxes bbox pixel pixels",
}
NOT_PREDICTIONS = {word for words in OTHERS.values() for word in words.split()}


@dataclass(frozen=True)
class PredictionColumn:
    """The predictions [N, K] as they are stored, NaN where a number is missing; rows without any are refused."""

    numbers_NK: NDArray[np.float32]
    refused: dict[int, Unusable]
    class_names: list[str] | None
    """The class of each number if the source names them; with one number per row, the class it belongs to."""
    columns: list[str]
    """The columns that were read; none if the predictions are an array in a file."""
    notes: Notes = field(default_factory=Notes)


@dataclass(frozen=True)
class _Candidate:
    """A column, or one column per class."""

    title: str
    """The value of the setting that chooses it."""
    wide: WideColumns | None = None

    @property
    def rank(self) -> int:
        return _rank(self.wide.affix if self.wide else self.title)

    @property
    def is_known(self) -> bool:
        """Whether its name says that it holds predictions: it is usual, or columns are named exactly as the classes."""
        return self.rank < len(WORDS) or (self.wide is not None and not self.wide.affix)


USUAL = "probabilities"


def find_predictions(frame: pl.DataFrame, settings: PredictionSettings, labels: list[str]) -> PredictionColumn:
    """The predictions of a table whose `labels` are the names of the classes that occur.

    Several candidates are a doubt; the likeliest is read. Raises `UserError` if there are none, or only the predicted
    classes.
    """
    if settings.table is not None and settings.table.suffix in ARRAY_FILES:
        return _with_numbers(_from_file(len(frame), settings), settings.table.name)
    classes = settings.classes or labels
    notes = Notes()
    if settings.column is not None:
        chosen = _find_named(frame, settings.column, classes)
    else:
        candidates = sorted(_find_candidates(frame, settings, classes), key=lambda candidate: candidate.rank)
        if not candidates:
            raise _explain_none(frame, settings, classes)
        chosen = candidates[0]
        _doubt(frame, candidates, notes)
    found = _with_numbers(_read(frame, chosen, settings, notes), chosen.title)
    if settings.column is None and chosen.title != USUAL:
        what = f"the column {chosen.title!r}"
        if found.columns[1:]:
            what = f"{len(found.columns):,} columns from {found.columns[0]!r} to {found.columns[-1]!r}"
        notes.remarks.append(f"The predictions are {what}.")
    return found


def suspect_predictions(frame: pl.DataFrame, classes: list[str]) -> list[str]:
    """The columns whose names say that they hold predictions of the classes; none if no column does."""
    candidates = [
        candidate for candidate in _find_candidates(frame, PredictionSettings(), classes) if candidate.is_known
    ]
    best = min(candidates, key=lambda candidate: candidate.rank, default=None)
    return [] if best is None else best.wide.columns if best.wide else [best.title]


def _with_numbers(found: PredictionColumn, title: str) -> PredictionColumn:
    """The predictions; raises `UserError` if no row has any number."""
    if not found.numbers_NK.size:
        raise UserError(
            f"The predictions {title!r} hold no number in any row: name others as column of [dataset.predictions], or "
            "write them again."
        )
    return found


def _find_named(frame: pl.DataFrame, column: str, classes: list[str]) -> _Candidate:
    """The predictions that the setting names: a column, one of the columns of a group, or their prefix."""
    groups = find_wide(frame, classes)
    if column in frame.columns:
        if _holds_predictions(frame[column]):
            return _Candidate(column)
        if group := next((group for group in groups if column in group.columns), None):
            return _Candidate(column, group)
        if top := find_top(frame.select(column), classes):
            refuse_top(frame, top, classes)
        if is_numeric(frame[column]):
            return _Candidate(column, _single(column, classes))
        raise UserError(
            f"The column {column!r} has type {frame[column].dtype}, but predictions are lists of numbers, or one "
            "column of numbers for each class: correct column in [dataset.predictions]."
        )
    if group := has_prefix(frame, column, classes):
        return _Candidate(column, group)
    raise UserError(
        f"The table has no column {column!r}, and no two columns of numbers that start with it: its columns are "
        f"{_list(frame.columns)}."
    )


def _find_candidates(frame: pl.DataFrame, settings: PredictionSettings, classes: list[str]) -> list[_Candidate]:
    rest = frame.drop(settings.embedding_column or [], strict=False)
    lists = [name for name in rest.columns if _may_be(name) and _holds_predictions(rest[name])]
    lists = [name for name in lists if _rank(name) < len(WORDS) or _width(rest[name]) == len(classes)]
    wide = [group for group in find_wide(rest, classes) if _is_likely(group, classes)]
    found = [_Candidate(name) for name in lists] + [_Candidate(group.columns[0], group) for group in wide]
    known = [candidate for candidate in found if candidate.is_known]
    if known or found:
        return known or found
    if not classes and (summing := find_named(rest)):
        return [_Candidate(summing.columns[0], summing)]
    return list(_find_single(rest, classes))


def find_named(frame: pl.DataFrame) -> WideColumns | None:
    """The columns of probabilities that name their classes whatever the labels are, such as prob_cat and prob_dog."""
    return find_summing(frame, WORDS)


def _find_single(frame: pl.DataFrame, classes: list[str]) -> Iterator[_Candidate]:
    """Columns of one number per row, of two classes."""
    if len(classes) != 2:
        return
    for name in frame.columns:
        may_be = _may_be(name) and _rank(name) < len(WORDS) and is_numeric(frame[name])
        if may_be and not find_top(frame.select(name), classes) and not _is_confidence(frame, name, classes):
            yield _Candidate(name, _single(name, classes))


def _is_confidence(frame: pl.DataFrame, name: str, classes: list[str]) -> bool:
    """Whether a number is that of the class that another column predicts, and not of the same class in every row."""
    beside = frame.select(other for other in frame.columns if other != name and _rank(other) < len(WORDS))
    return find_top(beside, classes) is not None


def _doubt(frame: pl.DataFrame, candidates: list[_Candidate], notes: Notes) -> None:
    chosen = candidates[0]
    if len(candidates) > 1:
        titles = _list([candidate.title for candidate in candidates])
        sentence = f"{len(candidates):,} columns may be the predictions: {titles}."
    elif chosen.wide and not chosen.wide.affix and _are_hard(frame, chosen.wide):
        sentence = "The columns named as the classes hold only 0 and 1: they may be the labels and no predictions."
    elif not chosen.is_known:
        sentence = f"Only {chosen.title!r} may be the predictions, but its name does not say so."
    else:
        return
    notes.doubts.append(Doubt(SETTING, sentence, chosen.title))


def _read(frame: pl.DataFrame, chosen: _Candidate, settings: PredictionSettings, notes: Notes) -> PredictionColumn:
    if chosen.wide is None:
        return _read_column(frame[chosen.title], settings, notes)
    group = chosen.wide if settings.classes else add_unlabeled(chosen.wide, frame)
    if extra := group.columns[len(chosen.wide.columns) :]:
        notes.remarks.append(f"{len(extra):,} further columns are classes that no label has, such as {extra[-1]!r}.")
    numbers_NK = read_wide(frame, group.columns)
    missing = np.flatnonzero(np.isnan(numbers_NK).all(1))
    refused = {int(row): Unusable(MISSING) for row in missing}
    return PredictionColumn(numbers_NK, refused, _names(group.names, settings), group.columns, notes)


def _read_column(column: pl.Series, settings: PredictionSettings, notes: Notes) -> PredictionColumn:
    if holds_named_numbers(column):
        names, numbers_NK = read_named_numbers(column)
        missing = np.flatnonzero(np.isnan(numbers_NK).all(1))
        refused = {int(row): Unusable(MISSING) for row in missing}
        return PredictionColumn(numbers_NK, refused, _names(names, settings), [column.name], notes)
    lists = read_lists(column, "prediction")
    numbers_NK = lists.numbers_NK.astype(np.float32, copy=False)
    return PredictionColumn(numbers_NK, lists.refused, None, [column.name], notes)


def _from_file(rows: int, settings: PredictionSettings) -> PredictionColumn:
    assert settings.table is not None
    arrays = read_array(settings.table, rows, settings.column)
    names = sorted(arrays, key=_rank)
    likely = [name for name in names if _may_be(name)] or names
    notes = Notes(remarks=[f"The rows of {settings.table.name} are in the order of the table, whose count is equal."])
    if len(likely) > 1:
        sentence = f"{len(likely):,} arrays of {settings.table.name} may be the predictions: {_list(likely)}."
        notes.doubts.append(Doubt(SETTING, sentence, likely[0]))
    with np.errstate(over="ignore"):
        return PredictionColumn(np.asarray(arrays[likely[0]], np.float32), {}, None, [], notes)


def _names(names: list[str] | None, settings: PredictionSettings) -> list[str] | None:
    """The classes that the source names, unless the settings rename them by position."""
    renamed = settings.classes and names and len(names) > 1 and set(names) != set(settings.classes)
    return None if renamed else names


def _single(column: str, classes: list[str]) -> WideColumns:
    """One column, which is named by the class if its name ends with that of one, as `prob_pos`."""
    named = [name for name in classes if words_of(name) and words_of(column)[-len(words_of(name)) :] == words_of(name)]
    return WideColumns("", column, [column], named if len(named) == 1 else None)


def _holds_predictions(column: pl.Series) -> bool:
    return holds_named_numbers(column) or holds_lists(column)


def _is_likely(group: WideColumns, classes: list[str]) -> bool:
    """Whether columns may be predictions by their names; those that are only numbered if there is one per class."""
    if not _may_be(group.affix):
        return False
    return group.names is not None or _rank(group.affix) < len(WORDS) or len(group.columns) == len(classes)


def _width(column: pl.Series) -> int:
    """The numbers per row of the first rows."""
    first = column.drop_nulls().head(LOOKED_AT)
    if holds_named_numbers(first):
        return len(read_named_numbers(first)[0])
    return read_lists(first, "prediction").numbers_NK.shape[1]


def _are_hard(frame: pl.DataFrame, group: WideColumns) -> bool:
    return bool(np.isin(read_wide(frame, group.columns), (0, 1)).all())


def _may_be(name: str) -> bool:
    return not NOT_PREDICTIONS & set(words_of(name.replace("_", " ")))


def _rank(name: str) -> int:
    """The position of the likeliest word of a name."""
    words = words_of(name)
    return next((rank for rank, word in enumerate(WORDS) if word in words), len(WORDS))


def _explain_none(frame: pl.DataFrame, settings: PredictionSettings, classes: list[str]) -> UserError:
    may_be = frame.select(name for name in frame.columns if _rank(name) < len(WORDS))
    if top := find_top(may_be, classes):
        refuse_top(frame, top, classes)
    where = f"the table {settings.table}" if settings.table else "the table"
    others = f"whose columns are {_list(frame.columns)}" if frame.columns else "which has no other columns"
    return UserError(
        f"No predictions were found in {where}, {others}: name the column of lists, or the prefix of one column per "
        "class, in column of [dataset.predictions]."
    )


def _list(names: list[str]) -> str:
    shown = ", ".join(names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20:,} more"
