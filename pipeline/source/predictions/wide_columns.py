"""One column of numbers for each class: `prob_cat, prob_dog`, columns named as the labels, or `p_0` to `p_9`."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.source.predictions.number_lists import LOOKED_AT, to_floats

NEARLY, MOST = 0.02, 0.9
"""Distance of a sum from 1, and the share of rows, by which columns are probabilities of all classes."""


@dataclass(frozen=True)
class WideColumns:
    """Columns that belong together, with their classes if they name them."""

    prefix: str
    """What comes before the class, without cases and punctuation."""
    affix: str
    """What is not the class, before and after it; empty if the columns are named as the classes."""
    columns: list[str]
    names: list[str] | None
    """The class of each column, spelt like the label if there is one; None if the columns are numbered."""


def find_wide(frame: pl.DataFrame, classes: list[str]) -> list[WideColumns]:
    """The groups of columns of numbers named by all `classes`, or numbered from 0 or 1 without a gap."""
    numeric = [name for name in frame.columns if is_numeric(frame[name])]
    named = _by_class(numeric, classes)
    taken = {column for group in named for column in group.columns}
    return named + [group for group in _by_number(numeric) if not taken & set(group.columns)]


def add_unlabeled(group: WideColumns, frame: pl.DataFrame) -> WideColumns:
    """The group with the columns of further classes, which have no label, unless the numbers add up without them."""
    if group.names is None or not group.affix or len(group.columns) == 1:
        return group
    total = read_wide(frame, group.columns).sum(1, dtype=np.float64)
    if np.nanmean(np.abs(total - 1) < 1e-3) > 0.98:
        return group
    keys = {_key(column): column for column in frame.columns if is_numeric(frame[column])}
    suffix = group.affix[len(group.prefix) :]
    fits = [
        c for k, c in keys.items() if k.startswith(group.prefix) and k.endswith(suffix) and len(k) > len(group.affix)
    ]
    known = dict(zip(group.columns, group.names, strict=True))
    names = [known.get(column) or column[len(group.prefix) : len(column) - len(suffix)] for column in fits]
    return WideColumns(group.prefix, group.affix, fits, names)


def has_prefix(frame: pl.DataFrame, prefix: str, classes: list[str]) -> WideColumns | None:
    """The columns of numbers that start with `prefix`: at least two; what follows are numbers or names of classes."""
    columns = [name for name in frame.columns if name.startswith(prefix) and name != prefix and is_numeric(frame[name])]
    if len(columns) < 2:
        return None
    rests = [name[len(prefix) :] for name in columns]
    spelt = {_key(name): name for name in classes}
    names = [spelt.get(_key(rest), rest) for rest in rests]
    if all(rest.isdecimal() for rest in rests) and not set(names) <= set(classes):
        return WideColumns(_key(prefix), _key(prefix), sorted(columns, key=lambda name: int(name[len(prefix) :])), None)
    return WideColumns(_key(prefix), _key(prefix), columns, names)


def find_summing(frame: pl.DataFrame, words: Collection[str]) -> WideColumns | None:
    """The columns of numbers that share a beginning with one of the `words`, such as `prob_`, and add up to 1 or 100.

    They name their classes themselves, where no label does.
    """
    groups: dict[str, list[str]] = {}
    for name in frame.columns:
        match = re.match(r"[^\W\d_]+[\W_]+(?=\w*[^\W\d_])", name)
        if match and set(words_of(match[0])) & set(words) and is_numeric(frame[name]):
            groups.setdefault(match[0], []).append(name)
    for prefix, columns in groups.items():
        total = read_wide(frame, columns).sum(1, dtype=np.float64)
        close = np.minimum(np.abs(total - 1), np.abs(total / 100 - 1)) < NEARLY
        if len(columns) > 1 and close.mean() > MOST:
            return WideColumns(_key(prefix), _key(prefix), columns, [name[len(prefix) :] for name in columns])
    return None


def are_among(texts: Iterable[str], names: Iterable[str]) -> bool:
    """Whether all texts are names, whatever their case and punctuation."""
    return {_key(text.strip()) for text in texts} <= {_key(name) for name in names}


def find_features(frame: pl.DataFrame, words: Collection[str] | None) -> list[str]:
    """The most columns of numbers that differ only in a number from 0 or 1 on, in its order; empty without any.

    With `words`, one of them must be in their names, as in `emb_0`.
    """
    groups = _by_number([name for name in frame.columns if is_numeric(frame[name])])
    fitting = [group.columns for group in groups if words is None or set(words_of(group.affix)) & set(words)]
    return max(fitting, key=len, default=[])


def read_wide(frame: pl.DataFrame, columns: list[str]) -> NDArray[np.float32]:
    """The numbers [N, K] of columns of numbers or of text; NaN where there is none."""
    as_floats = [to_floats(pl.col(name)) if frame[name].dtype == pl.String else pl.col(name) for name in columns]
    floats = frame.select(*(each.cast(pl.Float32, strict=False).fill_null(float("nan")) for each in as_floats))
    return floats.to_numpy()


def is_numeric(column: pl.Series) -> bool:
    """Whether a column has numbers, or text most of which is numbers."""
    if column.dtype != pl.String:
        return column.dtype.is_numeric() or column.dtype == pl.Boolean
    texts = column.drop_nulls().head(LOOKED_AT).to_frame()
    numbers = texts.select(to_floats(pl.first())).to_series()
    return 2 * numbers.count() > len(numbers)


def words_of(name: str) -> list[str]:
    """The words of a column's name in lower case: predictedProbs_v2 is predicted, probs, v."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+", spaced.lower())


def _key(name: str) -> str:
    """A name without case and punctuation, of the same length."""
    return "".join(c.lower() if c.isalnum() and len(c.lower()) == 1 else "_" for c in name)


def _by_class(columns: list[str], classes: list[str]) -> list[WideColumns]:
    """Columns whose names are a class, with the same text before and the same text after it for all classes."""
    spelt = {_key(name): name for name in classes}
    if len(spelt) < 2 or len(spelt) < len(classes) or len(columns) < len(classes):
        return []
    keys = {_key(column): column for column in columns}
    affixes: Counter[tuple[str, str]] = Counter()
    for key in keys:
        affixes.update({affix for its in spelt for affix in _around(key, its)})
    complete = [affix for affix, count in affixes.items() if count >= len(spelt)]
    groups = []
    for before, after in complete:
        found = {key: f"{before}{key}{after}" for key in spelt}
        if all(name in keys for name in found.values()):
            names = {keys[name]: spelt[key] for key, name in found.items()}
            ordered = [column for column in columns if column in names]
            groups.append(WideColumns(before, before + after, ordered, [names[column] for column in ordered]))
    return groups


def _around(key: str, its: str) -> set[tuple[str, str]]:
    """What stands before and after the first and the last occurrence of the name of a class."""
    places = {key.find(its), key.rfind(its)} - {-1}
    return {(key[:place], key[place + len(its) :]) for place in places}


def _by_number(columns: list[str]) -> list[WideColumns]:
    groups: dict[tuple[str, str], dict[int, str]] = {}
    for column in columns:
        if match := re.fullmatch(r"(.*?)(\d+)(\D*)", column):
            before, number, after = match.groups()
            groups.setdefault((before, after), {})[int(number)] = column
    return [
        WideColumns(_key(before), _key(before + after), [group[number] for number in sorted(group)], None)
        for (before, after), group in groups.items()
        if len(group) >= 2 and min(group) in (0, 1) and max(group) - min(group) == len(group) - 1
    ]
