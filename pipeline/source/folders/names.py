"""What the names of folders look like: names of classes, or numbers, dates, sessions and the like."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from enum import Enum


def words_of(text: str) -> frozenset[str]:
    """The words of a list of words."""
    return frozenset(text.split())


NEUTRAL = words_of(
    "images image img imgs jpegimages jpeg jpegs jpg jpgs png pngs photos photo pictures picture pics data dataset "
    "datasets raw files samples"
)
"""Names of folders that say nothing about what is on the images."""
PARTS = words_of("part batch chunk shard fold")
"""Words for arbitrary parts of a data set."""
_NOT_CLASSES = words_of(
    "session camera cam day week month year batch part chunk shard fold video clip burst sequence seq frame frames "
    "patient subject person participant user series scan scene site location visit run trial round roll set "
    "front rear back left right top bottom side view angle upload export dcim"
)
"""First words of names that number or place recordings."""
_CLASSES = words_of("class category cat label type grade stage level digit species")
"""First words of names of classes that may be numbered."""
_WORDNET = re.compile(r"n\d{8}")
_SHARE = 0.6


class Look(Enum):
    """What most names of a level look like."""

    CLASSES = "names of classes"
    NUMBERS = "small numbers"
    OTHER = "dates, sessions, cameras, people or ids"


def fold(name: str) -> str:
    """A name for comparison, apart from case and blanks at its ends."""
    return name.strip().casefold()


def is_neutral(name: str) -> bool:
    """Whether a name says nothing, such as images."""
    return fold(name).replace("_", "").replace("-", "").replace(" ", "") in NEUTRAL


def is_numbered_part(name: str) -> bool:
    """Whether a name only numbers parts of the images, such as images_001 or HAM10000_images_part_1."""
    words = re.findall(r"[^\W\d_]+|\d+", name.casefold())
    return len(words) > 1 and words[-1].isdecimal() and words[-2] in NEUTRAL | PARTS


def look_of(names: Collection[str]) -> Look:
    """What most of the names of a level look like."""
    numbered = Counter(_letters(name) for name in names if re.search(r"\d", name))
    numbers = [name for name in names if re.fullmatch(r"\d{1,3}", name.strip())]
    others = [name for name in set(names) - set(numbers) if _is_no_class(name, numbered)]
    if len(numbers) >= _SHARE * len(names):
        return Look.NUMBERS
    return Look.OTHER if len(numbers) + len(others) >= _SHARE * len(names) else Look.CLASSES


def enumerate_some(names: Iterable[str], most: int = 4) -> str:
    """Names for a sentence: all of a few, otherwise the first ones and how many more there are."""
    every = sorted(names)
    shown, more = every[:most], len(every) - most
    if more > 0:
        return f"{', '.join(shown)} and {more:,} more"
    return " and ".join(part for part in (", ".join(shown[:-1]), *shown[-1:]) if part)


def _is_no_class(name: str, numbered: Counter[str]) -> bool:
    """Whether a name is no class by itself, or by the number of names of its level that differ only in digits."""
    letters = _letters(name)
    if not letters:
        return True  # 2023-01-05
    if _WORDNET.fullmatch(name):
        return False
    if re.search(r"\d", name) and re.fullmatch(r"[0-9a-f-]{8,}|[a-z]\d{2,}", name.casefold()):
        return True  # an id
    first = re.findall(r"[^\W\d_]+", name.casefold())[0]
    if first in _CLASSES:
        return False
    is_place = first in _NOT_CLASSES and (letters == first or letters == name.casefold())
    return is_place or is_neutral(name) or (len(letters) >= 3 and numbered[letters] > 1)


def _letters(name: str) -> str:
    """The letters of a name in lower case: session for session_01."""
    return "".join(character for character in name.casefold() if character.isalpha())
