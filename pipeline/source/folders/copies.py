"""Folders that repeat what lies beside them, as archives that were packed twice do: data/train, data/data/train."""

import filecmp
from collections.abc import Sequence
from pathlib import Path

from pipeline.source.folders.tree import Tree
from pipeline.source.folders.walk import Folder, Parts
from pipeline.source.meaning.split_names import find_split

SAMPLE = 20
"""Pairs of files whose content is compared; of the others only names and sizes."""
_Pair = tuple[Path, Path]


def find_copies(folders: Sequence[Folder], tree: Tree) -> set[Parts]:
    """The folders below one that has only files which are, by path, size and sampled content, also beside it."""
    by_parts = {folder.parts: folder for folder in folders}
    copies: set[Parts] = set()
    for copy, names in list(tree.children.items()):
        if not copy or copy in tree.counts or copy[-1] in names or find_split(copy[-1]):
            continue
        if not names <= tree.children[copy[:-1]]:
            continue
        inside = [folder for folder in folders if folder.parts[: len(copy)] == copy]
        pairs: list[_Pair] = []
        for folder in inside:
            other = by_parts.get(copy[:-1] + folder.parts[len(copy) :])
            if other is None or not set(folder.files) <= set(other.files):
                break
            pairs += [(folder.path_of(file), other.path_of(file)) for file in folder.files]
        else:
            if _are_repeated(pairs):
                copies |= {folder.parts for folder in inside}
    return copies


def _are_repeated(pairs: Sequence[_Pair]) -> bool:
    """Whether the files of each pair are the same, as far as sizes and the content of some tell."""
    try:
        return all(one.stat().st_size == other.stat().st_size for one, other in pairs) and all(
            filecmp.cmp(one, other, shallow=False) for one, other in pairs[:: -(-len(pairs) // SAMPLE)]
        )
    except OSError:
        return False
