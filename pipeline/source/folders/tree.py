"""The folders that hold images, and which of them say nothing and are skipped."""

from collections import defaultdict
from collections.abc import Mapping

from pipeline.source.folders.names import Look, fold, is_neutral, is_numbered_part, look_of
from pipeline.source.folders.walk import Parts
from pipeline.source.meaning.split_names import find_split


class Tree:
    """The folders with images in or below them. A level counts from 1 below the source."""

    def __init__(self, counts: Mapping[Parts, int]) -> None:
        """`counts` is the number of images that lie in each folder itself."""
        self.counts = counts
        self.children: dict[Parts, set[str]] = defaultdict(set)
        for parts in counts:
            for depth in range(len(parts) - 1, -1, -1):
                known = parts[depth] in self.children[parts[:depth]]
                self.children[parts[:depth]].add(parts[depth])
                if known:
                    break
        self.depth = max((len(parts) for parts in counts), default=0)
        self.total = sum(counts.values())
        self.wrappers = self._find_wrappers()
        self.parts: set[str] = set()
        """Names of folders that only number parts of the images."""
        self._skipped = {self.wrappers[:level] for level in range(1, len(self.wrappers) + 1)} | self._find_neutral()

    def telling(self, parts: Parts) -> list[int]:
        """The levels of a folder whose names may tell its class or split."""
        return [level for level in range(1, len(parts) + 1) if parts[:level] not in self._skipped]

    def _find_wrappers(self) -> Parts:
        """The folders around all others: the only ones at their level, with nothing but folders that say more."""
        wrappers: Parts = ()
        direct = 0
        while len(names := self.children.get(wrappers, ())) == 1:
            inner = (*wrappers, *names)
            direct += self.counts.get(wrappers, 0)
            inside = self.children.get(inner)
            if not inside or find_split(inner[-1]) or 2 * (direct + self.counts.get(inner, 0)) > self.total:
                break
            if look_of(inside) is Look.OTHER and not is_neutral(inner[-1]) and not any(map(is_neutral, inside)):
                break  # the sessions of one class
            wrappers = inner
        return wrappers

    def _find_neutral(self) -> set[Parts]:
        """Folders that say nothing: those that only number parts, as all beside them do; those that are alone in theirs

        and called images or the like, or as the folder that they are in.
        """
        neutral = set()
        for parent, names in self.children.items():
            if len(names) == 1:
                (name,) = names
                if is_neutral(name) or (parent and fold(name) == fold(parent[-1]) and not find_split(name)):
                    neutral.add((*parent, name))
            elif all(map(is_numbered_part, names)):
                neutral |= {(*parent, name) for name in names}
                self.parts |= names
        return neutral
