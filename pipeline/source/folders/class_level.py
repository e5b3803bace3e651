"""Which of the levels of folders names the class, where there are several."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.source.folders.names import Look, enumerate_some, fold, look_of
from pipeline.source.folders.walk import Parts

LOOSE = 0.1
"""Share of images directly in the upper folders from which on these are the classes."""
FEW = 3
"""Images per folder below which the folders are bursts of images rather than classes."""


@dataclass(frozen=True)
class Choice:
    """The depth of the class among the folders that may name it, from 0, and why it is unclear, if it is."""

    depth: int
    doubt: str = ""
    """What the folders look like, as the beginning of a sentence."""


def choose_depth(counts: Mapping[Parts, int]) -> Choice:
    """The depth of the class; `counts` is the number of images by the names that may be its class.

    Of two levels the upper one is the class if images lie in its folders, or if the lower one has names of sessions,
    dates or ids. It is the lower one if the upper one is a single folder. Where both may be the class, the lower one is
    suggested: it tells more, and the upper one can be given as a grouping of it. Only if its names look like those of
    a class and the lower ones do not, the upper one is suggested.
    """
    depths = _find_telling(counts)
    doubt = ""
    for number, depth in enumerate(depths[:-1]):
        merged: Counter[Parts] = Counter()
        for names, count in counts.items():
            if len(names) > depth:
                merged[tuple(names[other] for other in depths[number:] if other < len(names))] += count
        choice = _choose_between(merged)
        doubt = doubt or choice.doubt
        if choice.depth == 0:
            return Choice(depth, doubt)
    return Choice(depths[-1], doubt)


def _find_telling(counts: Mapping[Parts, int]) -> list[int]:
    """The first depth, and all others at which there is more than one name."""
    names_at: dict[int, set[str]] = defaultdict(set)
    for names in counts:
        for depth, name in enumerate(names):
            names_at[depth].add(fold(name))
    return [0, *(depth for depth, names in sorted(names_at.items()) if depth and len(names) > 1)]


def _choose_between(counts: Mapping[Parts, int]) -> Choice:
    """0 for the upper level, 1 for the lower one or one below it."""
    inside: dict[str, set[str]] = defaultdict(set)
    images: Counter[tuple[str, str]] = Counter()
    direct = 0
    for names, count in counts.items():
        if len(names) == 1:
            direct += count
        else:
            inside[names[0]].add(names[1])
            images[names[0], names[1]] += count
    lower = set().union(*inside.values())
    if direct > LOOSE * sum(counts.values()) or not lower:
        return Choice(0)
    look = look_of(lower)
    if len(inside) == 1:
        return Choice(0 if look is Look.OTHER else 1)
    folded = {upper: {fold(name) for name in names} for upper, names in inside.items()}
    times = Counter(name for names in folded.values() for name in names)
    if all(len(names) == 1 for names in folded.values()):
        return Choice(0)
    recurring = sum(count > 1 for count in times.values())
    if 2 * recurring >= len(times):
        return _choose_of_crossed(inside, lower, look)
    grown = sum(len(names) > 1 for names in folded.values())
    if look is not Look.CLASSES or sum(images.values()) < FEW * len(images) or 2 * grown < len(inside):
        return Choice(0)
    return Choice(1, f"{_tell(inside)} hold different folders ({enumerate_some(lower)})")


def _choose_of_crossed(inside: Mapping[str, set[str]], lower: set[str], look: Look) -> Choice:
    """The choice where the upper folders have mostly the same folders inside."""
    upper_look = look_of(inside.keys())
    if {look, upper_look} == {Look.OTHER, Look.CLASSES}:
        return Choice(0 if upper_look is Look.CLASSES else 1)
    doubt = f"{_tell(inside)} hold folders of the same names ({enumerate_some(lower)})"
    return Choice(0 if look is not Look.CLASSES and upper_look is Look.CLASSES else 1, doubt)


def _tell(inside: Mapping[str, set[str]]) -> str:
    return f"the {len(inside):,} folders {enumerate_some(inside)}"
