"""Labels as people write them: missing ones, whole numbers written as 1.0, and several spellings of one class.

What is unmistakable is taken and said; what is not becomes one doubt, which the setting `labels` answers.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from lake.text.missing_words import MISSING
from pipeline.source.meaning.class_order import natural_order
from pipeline.source.notes import Doubt, Notes

_UNSURE_WORDS = (
    "unknown unlabeled unlabelled unlabel unsorted unclassified unannotated unassigned uncategorized uncategorised "
    "undefined todo tbd notlabeled notlabelled nolabel nolabels tosort tolabel pending missing void ignore dontcare "
    "unbekannt unklar unsicher unbestimmt inconnu incertain desconocido incierto desconhecido incerto sconosciuto "
    "onbekend ukjent ukendt nieznany nieznane неизвестно неясно 未知 不明 不确定 未标注 未分类 미상"
)
UNSURE = frozenset(_UNSURE_WORDS.split())
"""What may mean that there is no label, or be a class of its own: in lower case, without blanks and hyphens."""
FILLERS = frozenset({"new", "yet", "image", "images", "class", "data"})
GRADES = frozenset({"mild", "minor", "low", "slight", "moderate", "medium", "severe", "high", "few", "some", "partial"})
"""Grades of which none is the lowest."""
SENTINELS = frozenset({"-1", "-9", "-99", "-999", "-9999", "99", "255", "999", "9999"})
"""Numbers that stand for no value among other numbers."""
LETTER_PAIRS = 5
"""So many pairs such as "a" and "A" are letters, which differ by their case."""
EXAMPLES = 3
_SEPARATORS = re.compile(r"[\s_\-–—]+")
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u200e\u200f"


@dataclass(frozen=True)
class SettledLabels:
    """The class of each row, None without a label, and what was understood or is unclear."""

    labels: list[str | None]
    notes: Notes


@dataclass(frozen=True)
class _Proposal:
    """The class that a label may mean, "" for no label, and why."""

    label: str
    count: int
    reason: str


@dataclass(frozen=True)
class _Names:
    """The labels that the setting does not answer, with their counts, and what is certain to be a class."""

    counts: Counter[str]
    settled: frozenset[str]
    """Classes that the setting names."""
    apart: frozenset[str]
    """Labels that the setting keeps as they are."""
    classes: frozenset[str]
    """Classes that are declared elsewhere."""


def settle_labels(
    written: Sequence[str | None],
    mapping: dict[str, str],
    *,
    classes: Sequence[str] | None = None,
    width: int | None = None,
) -> SettledLabels:
    """The class of every row, from its label as it is written in the source; None is a missing label.

    `mapping` is the setting `labels`: it is right about every label that it names, "" being no label. `classes` are
    the classes where something declares them, and `width` is the number of classes where only that is known, as from
    predictions. All doubts are one, of the setting `labels`, whose suggestion leaves no doubt.
    """
    notes = Notes()
    counts = Counter(text for text in written if text is not None)
    declared = frozenset(_tidy(name) for name in classes or [])
    spelled = _spell_numbers({text: _tidy(text) for text in counts}, declared, notes)
    answered = _answer(spelled, mapping)
    open_names = {text: name for text, name in spelled.items() if text not in answered}
    _tell_merged(open_names, notes)
    names = _Names(
        _count(open_names, counts),
        frozenset(answered.values()) - {""},
        frozenset(_tidy(name) for name, label in mapping.items() if _tidy(name) == _tidy(label)),
        declared,
    )
    missing, proposals = _judge(names, width, notes)
    _tell_missing({name: names.counts[name] for name in missing if name}, notes)
    occurring = {*counts, *spelled.values(), *(_tidy(text) for text in counts)}
    _tell_unused([name for name in mapping if _tidy(name) not in occurring and name not in occurring], notes)
    if proposals:
        notes.doubts.append(_ask(proposals, mapping))
    final = {text: None if name in missing else name for text, name in open_names.items()}
    final |= {text: label or None for text, label in answered.items()}
    return SettledLabels([None if text is None else final[text] for text in written], notes)


def _tidy(text: str) -> str:
    """The text in NFC on one line, without blanks and invisible characters at its ends."""
    return " ".join(unicodedata.normalize("NFC", text).splitlines()).strip().strip(_INVISIBLE).strip()


def _spell_numbers(tidied: dict[str, str], declared: frozenset[str], notes: Notes) -> dict[str, str]:
    """The labels with 1.0 as 1, if every label is a whole number and 1.0 is not declared as a class."""
    names = {name for name in tidied.values() if not _is_missing(name) and not _is_unsure(name)}
    whole = {name: _whole(name) for name in names}
    floats = natural_order(name for name in names if "." in name)
    if not floats or None in whole.values() or declared & set(floats):
        return tidied
    notes.remarks.append(f"The labels are whole numbers: {floats[-1]!r} is the class {whole[floats[-1]]!r}.")
    return {text: whole.get(name) or name for text, name in tidied.items()}


def _answer(spelled: dict[str, str], mapping: dict[str, str]) -> dict[str, str]:
    """The class of each label that the setting names: as it is written, without blanks, or as a whole number."""
    tidied = {_tidy(name): label for name, label in mapping.items()}
    answered = {}
    for text, name in spelled.items():
        for key, table in ((text, mapping), (_tidy(text), tidied), (name, tidied)):
            if key in table:
                answered[text] = _tidy(table[key])
                break
    return answered


def _whole(name: str) -> str | None:
    """A whole number without its decimals; None for everything else."""
    head, _, decimals = name.partition(".")
    if not head.removeprefix("-").isdecimal() or decimals.strip("0"):
        return None
    return "0" if head == "-0" else head


def _is_missing(name: str) -> bool:
    return name.casefold() in MISSING


def _is_unsure(name: str) -> bool:
    """Whether the words of a name, such as 0_unlabeled or unlabelled_new, may mean that there is no label."""
    words = re.split(r"[\W_]+", name.casefold())
    return "".join(word for word in words if not word.isdecimal() and word not in FILLERS) in UNSURE


def _count(names: dict[str, str], counts: Counter[str]) -> Counter[str]:
    total: Counter[str] = Counter()
    for text, name in names.items():
        total[name] += counts[text]
    return total


def _judge(names: _Names, width: int | None, notes: Notes) -> tuple[set[str], dict[str, _Proposal]]:
    """The labels that are missing ones, and a proposal for each that is unclear."""
    undeclared = names.counts.keys() - names.classes - names.settled
    words = {name for name in undeclared if _is_missing(name) and not (name == "-" and "+" in names.counts)}
    unsure = {name for name in undeclared if _is_unsure(name)} | _sentinels({*names.counts} - words, names)
    certain = {*names.counts, *names.settled} - words - unsure
    sizes: Counter[str] = Counter()
    for name in certain:
        sizes[_key(name)] += names.counts[name]
    proposals = {
        name: _Proposal(name, names.counts[name], f"{reason}, or mean that there is no label")
        for name in words
        if (reason := _why_class(name, names.counts[name], certain, sizes))
    }
    missing = words - {*proposals}
    if unsure and width == len(sizes) + len(unsure):
        notes.remarks.append(f"Taken as classes, as the predictions have {width:,} numbers per row: {_quote(unsure)}.")
    elif unsure and width == len(sizes):
        missing |= unsure
    else:
        proposals |= {
            name: _Proposal("", names.counts[name], "may mean that there is no label") for name in natural_order(unsure)
        }
    return missing, proposals | _near(names, certain, notes)


def _sentinels(numbers: set[str], names: _Names) -> set[str]:
    """Numbers such as -1 that may mean no label, among at least two others that are counted from 0 or 1."""
    numbers = {name for name in numbers if not _is_unsure(name)} | names.settled
    others = [_whole(name) for name in numbers - SENTINELS]
    values = [int(other) for other in others if other is not None]
    if len(values) < max(2, len(others)) or min(values) < 0:
        return set()
    found = (numbers & SENTINELS) - names.classes - names.settled
    return {name for name in found if int(name) < 0 or int(name) > 2 * max(values)}


def _why_class(name: str, count: int, certain: Collection[str], sizes: Counter[str]) -> str | None:
    """Why a word for a missing value may be a class here; None if there is no reason."""
    if name in ("-", "?", "--") and any(len(other) == 1 and not other.isalnum() for other in certain):
        return "may be a class, as others are signs, too"
    if name.isalpha() and len(name) <= 3 and len(certain) > 1 and all(_is_alike(name, other) for other in certain):
        return "may be a class, as the others are such codes, too"
    if name.casefold() == "none":
        if GRADES & {other.casefold() for other in certain}:
            return "may be the lowest grade"
        if sizes and count >= median(sizes.values()) / 2:
            return "may be a class, as it is frequent"
    return None


def _is_alike(code: str, other: str) -> bool:
    """Whether both are codes of one kind: NA and DE, Na and K, NAN and JFK; but not nan and cat."""
    if len(code) == 3:
        return code.isupper() and other.isupper() and other.isalpha() and len(other) == 3
    if code.istitle():
        return other.istitle() and other.isalpha() and len(other) <= 2
    return other.isalpha() and len(other) == len(code) and other.isupper() == code.isupper()


def _near(names: _Names, certain: set[str], notes: Notes) -> dict[str, _Proposal]:
    """For each further spelling of a class, the commonest one or the one that is declared."""
    spellings: dict[str, list[str]] = {}
    for name in sorted((certain | names.classes) - names.apart):
        spellings.setdefault(_key(name), []).append(name)
    several = [group for group in spellings.values() if len(group) > 1]
    letters = [group for group in several if all(len(name) == 1 for name in group)]
    if len(letters) >= LETTER_PAIRS:
        first = letters[0]
        notes.remarks.append(f"Letters in upper and lower case are different classes, such as {_quote(first)}.")
        several = [group for group in several if group not in letters]
    proposals: dict[str, _Proposal] = {}
    for group in several:
        fixed = [name for name in group if name in names.classes] or [name for name in group if name in names.settled]
        target = max(fixed or group, key=lambda name: names.counts[name])
        for name in group:
            if name not in names.classes | names.settled and name != target:
                of_target = f" ({_images(names.counts[target])})" if names.counts[target] else ""
                proposals[name] = _Proposal(target, names.counts[name], f"may be {target!r}{of_target}")
    return proposals


def _key(name: str) -> str:
    """Equal for spellings that differ in case, blanks, hyphens, leading zeros or compatible characters.

    1-2 differs from 12, and -1 from 1.
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    if text.removeprefix("-").isdecimal():
        return str(int(text))
    first, *rest = [part for part in _SEPARATORS.split(text) if part] or [text]
    key = first
    for part in rest:
        key += f" {part}" if key[-1].isdecimal() and part[0].isdecimal() else part
    return key


def _ask(proposals: dict[str, _Proposal], mapping: dict[str, str]) -> Doubt:
    """One doubt for all proposals; those of most images are the examples."""
    ordered = sorted(proposals.items(), key=lambda item: (-item[1].count, item[0]))
    examples = [f"{name!r} ({_images(proposal.count)}) {proposal.reason}" for name, proposal in ordered[:EXAMPLES]]
    more = f"; and {len(ordered) - EXAMPLES:,} more" if len(ordered) > EXAMPLES else ""
    return Doubt(
        "labels",
        f"It is unclear what some labels mean: {'; '.join(examples)}{more}.",
        mapping | {name: proposal.label for name, proposal in ordered},
    )


def _tell_missing(counts: dict[str, int], notes: Notes) -> None:
    if counts:
        notes.remarks.append(
            f"Taken as images without a label: {sum(counts.values()):,} labelled {_quote(counts, counts.get)}."
        )


def _tell_merged(names: dict[str, str], notes: Notes) -> None:
    """Remark on the labels that differ from another one only in blanks at the ends or in their unicode form."""
    spellings = Counter(names.values())
    merged = [text for text, name in names.items() if name and _tidy(text) == name != text and spellings[name] > 1]
    if merged:
        notes.remarks.append(
            f"Labels that differ only in blanks at their ends, or in the form of their accents, are one class: "
            f"{_quote(merged)}."
        )


def _tell_unused(unused: list[str], notes: Notes) -> None:
    if unused:
        notes.remarks.append(f"The setting labels names {_quote(unused)}, which is no label of the source.")


def _quote(names: Iterable[str], rank: Callable[[str], int | None] | None = None) -> str:
    """At most three names, the highest rank first, and how many more there are."""
    ordered = natural_order(names)
    if rank:
        ordered.sort(key=lambda name: -(rank(name) or 0))
    more = f" and {len(ordered) - EXAMPLES:,} more" if len(ordered) > EXAMPLES else ""
    return ", ".join(repr(name) for name in ordered[:EXAMPLES]) + more


def _images(count: int) -> str:
    return f"{count:,} image" if count == 1 else f"{count:,} images"
