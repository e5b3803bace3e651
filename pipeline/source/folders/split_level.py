"""Which folders name the split of the images below them, above or below the class."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

from pipeline.source.folders.names import Look, fold, look_of, words_of
from pipeline.source.folders.tree import Tree
from pipeline.source.folders.walk import Parts
from pipeline.source.meaning.split_names import find_split, map_splits

Splits = dict[str, str]
PLAIN = words_of(
    "test testing testset training val validation holdout pred prediction predictions inference submission"
)
"""Names that are hardly ever those of classes, other than train and valid."""


@dataclass(frozen=True)
class SplitFolders:
    """The level of the folders that name splits, the split of each name, and a guess for names that are unclear."""

    level: int = 0
    """0 if no level names splits."""
    split_of: Splits = field(default_factory=dict)
    guessed: Splits = field(default_factory=dict)
    inner: dict[str, Splits] = field(default_factory=dict)
    """The splits named by the folders directly inside some of them: train/train, train/val."""
    beside_classes: bool = False
    """Whether folders of classes lie beside them, whose split is not named."""

    def find(self, parts: Parts, telling: list[int]) -> tuple[str | None, set[int]]:
        """The split of a folder, and the levels that name it."""
        if self.level not in telling:
            return None, set()
        name = parts[self.level - 1]
        split = self.split_of.get(name) or self.guessed.get(name)
        after = next((level for level in telling if level > self.level), 0)
        inner = self.inner.get(name, {}).get(parts[after - 1]) if after else None
        if inner:
            return inner, {self.level, after}
        return split, {self.level} if split else set()


@dataclass
class _Level:
    """The names of a level, the names of the next telling folders in each, and how many folders it could be in."""

    inside: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    parents: set[Parts] = field(default_factory=set)


def find_splits(tree: Tree, settings: Mapping[str, str], class_level: int | None) -> SplitFolders:
    """The folders that name splits; `settings` maps names to splits, and the level of the classes is not considered."""
    levels = {level: found for level, found in _read_levels(tree).items() if level != class_level}
    for level in sorted(levels):
        if found := _judge(level, levels[level], settings, _may_be_in(tree, level)):
            return found
    for level in sorted(levels):
        if found := _find_beside_classes(level, levels[level].inside):
            return found
    first = next((level for level in sorted(levels) if len(levels[level].inside) > 1), 0)
    if first and class_level is None and (found := _ask_beside_classes(first, levels[first].inside)):
        return found
    return SplitFolders()


def _read_levels(tree: Tree) -> dict[int, _Level]:
    levels: dict[int, _Level] = defaultdict(_Level)
    for parts in tree.counts:
        telling = tree.telling(parts)
        for level, after in zip_longest(telling, telling[1:], fillvalue=0):
            inside = levels[level].inside[parts[level - 1]]
            levels[level].parents.add(parts[: level - 1])
            if after:
                inside.add(parts[after - 1])
    return levels


def _may_be_in(tree: Tree, level: int) -> int:
    """The number of folders that could hold a folder of this level."""
    return len({parts[: level - 1] for parts in tree.counts if len(parts) >= level - 1})


def _judge(level: int, found: _Level, settings: Mapping[str, str], places: int) -> SplitFolders | None:
    """The splits of a level, if its names stand for splits."""
    inside = found.inside
    known = {name: split for name, split in (map_splits(inside) | dict(settings)).items() if split and name in inside}
    unknown = inside.keys() - known.keys()
    is_set = not settings.keys().isdisjoint(inside)
    if not known or not (is_set or (_are_splits(known, inside) and 2 * len(found.parents) >= places)):
        return None
    if unknown and not _are_splits(known, inside) and not _share_classes(list(inside), inside):
        return SplitFolders(level, {name: known[name] for name in settings if name in inside}, beside_classes=True)
    inner = {name: splits for name, split in known.items() if (splits := _read_inner(inside[name], split))}
    return SplitFolders(level, known, {name: _guess(name, inside, known) for name in unknown}, inner)


def _are_splits(known: Splits, inside: Mapping[str, set[str]]) -> bool:
    """Whether the known names stand for splits, judged by all names of their level and what is inside."""
    unknown = inside.keys() - known.keys()
    different = set(known.values())
    if not unknown:
        return len(known) == 1 or len(different) > 1 or _share_classes(list(known), inside)
    if len(different) > 1:
        alike = [name for name in known if inside[name]]
        return "train" in different or (bool(alike) and _share_classes([*alike, *unknown], inside))
    return len(unknown) == 1 and len(known) == 1 and _share_classes([*known, *unknown], inside)


def _share_classes(names: list[str], inside: Mapping[str, set[str]]) -> bool:
    """Whether folders have mostly the same folders inside, which are called as classes are."""
    sets = [{fold(name) for name in inside[name]} for name in names]
    common, every = set.intersection(*sets), set.union(*sets)
    looks = {look_of(inside[name]) for name in names}
    return len(common) >= 2 and 2 * len(common) >= len(every) and Look.OTHER not in looks


def _read_inner(names: set[str], outer: str) -> Splits:
    """The splits of the folders inside one that names a split, if all of them name a split, and no two the same."""
    splits = {name: split for name, split in map_splits(names).items() if split}
    different = set(splits.values())
    is_repeated = different == {outer} and len(names) == 1
    return splits if is_repeated or (1 < len(different) == len(splits) == len(names)) else {}


def _guess(name: str, inside: Mapping[str, set[str]], known: Splits) -> str:
    """The most likely split of a folder beside splits."""
    classes = {fold(child) for other in known for child in inside[other]}
    if classes.isdisjoint(map(fold, inside[name])):
        return "unlabeled"
    return "test" if "eval" in fold(name) and "test" not in known.values() else "train"


def _find_beside_classes(level: int, inside: Mapping[str, set[str]]) -> SplitFolders | None:
    """Splits that hold the same classes as the folders beside them: cat, dog, test/cat, test/dog."""
    classes = {fold(name) for name in inside if find_split(name) is None}
    found = {}
    for name, split in map_splits(inside).items():
        shared = classes & {fold(child) for child in inside[name]}
        if split and len(shared) >= 2 and 2 * len(shared) >= len(inside[name]):
            found[name] = split
    return SplitFolders(level, found, beside_classes=True) if found else None


def _ask_beside_classes(level: int, inside: Mapping[str, set[str]]) -> SplitFolders | None:
    """Folders called test or the like, with images only, beside at least two that are not: a split or a class."""
    guessed = {name: split for name, split in map_splits(inside).items() if split and _is_plain(name)}
    guessed = {name: split for name, split in guessed.items() if not inside[name]}
    others = [name for name in inside if find_split(name) is None]
    return SplitFolders(level, guessed=guessed, beside_classes=True) if guessed and len(others) > 1 else None


def _is_plain(name: str) -> bool:
    return fold(name).rstrip("0123456789_- ") in PLAIN
