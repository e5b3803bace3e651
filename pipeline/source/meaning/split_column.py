"""The splits that a column names, as people write them, and what becomes of rows whose label is missing."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lake.text.missing_words import MISSING
from pipeline.pixels.decode import Unusable
from pipeline.source.meaning.class_order import natural_order
from pipeline.source.meaning.split_names import SPLIT_OF, find_split, map_splits
from pipeline.source.notes import Doubt, Notes

COMMON = frozenset(
    {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "unlabeled", "unlabelled"}
)
"""Spellings that need no remark."""
ABBREVIATIONS = {"tr": "train", "va": "validation", "vl": "validation", "te": "test", "ts": "test", "tt": "test"}
HELD_OUT = frozenset({"eval", "evaluation", "devtest", "prüfung"})
"""Names of images to measure on, be they for validation or for test."""
EXTRA = frozenset({"extra", "additional", "aux", "auxiliary", "rest"})
"""Names of further images to train on."""
FLAGS = {"1": True, "true": True, "yes": True, "t": True, "y": True}
FLAGS |= {"0": False, "false": False, "no": False, "f": False, "n": False}
LEAST_LENGTH = 4
"""Letters of a word from which another one may be a slip of it."""
MEASURED = ("train", "validation", "test")


@dataclass(frozen=True)
class SettledSplits:
    """The split of each row, and its label, None if the row is unlabeled; None is a split that is not named."""

    splits: list[str | None]
    labels: list[str | None]
    refused: dict[int, Unusable]
    """Rows whose split is unknown."""
    notes: Notes


def settle_splits(
    written: Sequence[str | None], labels: Sequence[str | None], mapping: dict[str, str], *, column: str = ""
) -> SettledSplits:
    """The split of every row, from the split as it is written in the source and the settled labels.

    `mapping` is the setting `splits`, and `column` the name of the column, which may tell what 0 and 1 mean. Rows
    without a label become unlabeled, and labels of unlabeled rows are withheld. Rows of an unknown split are refused,
    with one doubt.
    """
    notes = Notes()
    texts = [None if text is None else _tidy(text) for text in written]
    counts = Counter(text for text in texts if text and text.casefold() not in MISSING)
    answers = {_tidy(name): split for name, split in mapping.items()}
    split_of: dict[str, str | None] = {**map_splits(list(counts)), **answers}
    _tell_spellings([name for name in counts if name not in answers], split_of, counts, notes)
    unknown = Counter({name: count for name, count in counts.items() if split_of[name] is None})
    if unknown:
        notes.doubts.append(_ask(unknown, [name for name in counts if split_of[name]], mapping, column))
    named = [split_of.get(text) if text else None for text in texts]
    refused = {i: Unusable("unknown split", text[:80]) for i, text in enumerate(texts) if text and text in unknown}
    splits = [
        "unlabeled" if label is None and i not in refused else split
        for i, (split, label) in enumerate(zip(named, labels, strict=True))
    ]
    _tell_labels(named, labels, notes)
    kept = [None if split == "unlabeled" else label for split, label in zip(splits, labels, strict=True)]
    return SettledSplits(splits, kept, refused, notes)


def _tidy(text: str) -> str:
    """The text in NFC, without blanks at its ends, and 1.0 as 1."""
    stripped = unicodedata.normalize("NFC", text).strip()
    return stripped.removesuffix(".0") if stripped.removesuffix(".0").isdecimal() else stripped


def _tell_spellings(names: list[str], split_of: dict[str, str | None], counts: Counter[str], notes: Notes) -> None:
    """Remark on the names that are understood, but not written as usual."""
    unusual = [name for name in names if split_of[name] and name.casefold() not in COMMON]
    if unusual:
        means = [f"{name!r} ({_rows(counts[name])}) is {split_of[name]}" for name in natural_order(unusual)]
        notes.remarks.append(f"The splits are understood so: {'; '.join(means)}.")


def _tell_labels(named: list[str | None], labels: Sequence[str | None], notes: Notes) -> None:
    """Remark on named rows without a label, and on unlabeled rows that have one."""
    total = Counter(named)
    without = Counter(split for split, label in zip(named, labels, strict=True) if label is None)
    counted = [f"{without[split]:,} of the split {split}" for split in MEASURED if without[split]]
    if counted:
        some = sum(without[split] for split in MEASURED)
        notes.remarks.append(f"{_rows(some)} without a label are unlabeled: {', '.join(counted)}.")
    notes.remarks += [
        f"None of the {_rows(total[split])} of the split {split} has a label, so they cannot be used to measure: "
        f"a {split} split is drawn from the labelled rows."
        for split in ("test", "validation")
        if total[split] and without[split] == total[split]
    ]
    if withheld := total["unlabeled"] - without["unlabeled"]:
        notes.remarks.append(f"{_rows(withheld)} of the split unlabeled have a label, which is not used.")


def _ask(unknown: Counter[str], known: list[str], mapping: dict[str, str], column: str) -> Doubt:
    """The doubt about all unknown names: which splits they may mean, or that the column may name no splits."""
    shown = ", ".join(f"{name!r} ({_rows(unknown[name])})" for name in natural_order(unknown)[:3])
    more = f" and {len(unknown) - 3:,} more" if len(unknown) > 3 else ""
    where = f"the column {column!r}" if column else "the split column"
    sentence = f"It is unclear which splits {shown}{more} in {where} mean"
    if suggested := _suggest(unknown, known, column):
        return Doubt("splits", f"{sentence}.", mapping | suggested)
    why = "there is only one value" if len(unknown) == 1 else "they may be folds, dates or something else"
    return Doubt("split_column", f'{sentence}: {why}; "" draws the splits instead.', "")


def _suggest(unknown: Counter[str], known: list[str], column: str) -> dict[str, str]:
    """The likely split of every unknown name; empty if the column is likely to name no splits."""
    if known:
        measured = "validation" if "test" in map_splits(known).values() else "test"
        return {name: measured if name.casefold() in HELD_OUT else _likely(name) for name in unknown}
    if all(name.casefold() in ABBREVIATIONS for name in unknown):
        return {name: ABBREVIATIONS[name.casefold()] for name in unknown}
    if len(unknown) == 2 and {FLAGS.get(name.casefold()) for name in unknown} == {True, False}:
        return _suggest_flags(unknown, find_split(column.casefold().removeprefix("is")))
    if sorted(unknown) in (["0", "1", "2"], ["1", "2", "3"]):
        first, *others = sorted(unknown)
        if unknown[first] > 1.5 * max(unknown[name] for name in others):
            return dict(zip(sorted(unknown), MEASURED, strict=True))
    return {}


def _suggest_flags(unknown: Counter[str], flagged: str | None) -> dict[str, str]:
    """What a flag means: the split that its column is named after, otherwise the larger side is for training."""
    if flagged is None:
        (larger, _), (smaller, _) = unknown.most_common()
        return {larger: "train", smaller: "test"}
    other = "test" if flagged == "train" else "train"
    return {name: flagged if FLAGS[name.casefold()] else other for name in unknown}


def _likely(name: str) -> str:
    """The split that a name beside known ones is likely to mean: a slip, an abbreviation, or one to leave out."""
    text = name.casefold()
    slips = [word for word in SPLIT_OF if len(word) >= LEAST_LENGTH and _is_slip(text, word)]
    if slips:
        return SPLIT_OF[slips[0]]
    return ABBREVIATIONS.get(text) or ("train" if text in EXTRA else "unlabeled")


def _is_slip(text: str, word: str) -> bool:
    """Whether one letter is missing, added or wrong, or two neighbours are swapped."""
    start = next((i for i, (a, b) in enumerate(zip(text, word, strict=False)) if a != b), min(len(text), len(word)))
    rest, other = text[start:], word[start:]
    swapped = rest[1::-1] + rest[2:]
    return rest[1:] in (other, other[1:]) or swapped == other or rest == other[1:]


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"
