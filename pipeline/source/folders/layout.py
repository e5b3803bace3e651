"""What the names of the folders say about the images in them: class and split."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings
from pipeline.source.folders.class_level import choose_depth
from pipeline.source.folders.names import enumerate_some, fold, words_of
from pipeline.source.folders.split_level import SplitFolders, find_splits
from pipeline.source.folders.tree import Tree
from pipeline.source.folders.walk import Parts
from pipeline.source.meaning.split_names import find_split
from pipeline.source.notes import Doubt, Notes

USUAL = words_of("train training val valid validation dev test testing unlabeled unlabelled")
"""Names of splits that need no remark."""
_Found = dict[Parts, tuple[str | None, list[int]]]
"""The split of each folder, and the levels that may name its class."""


@dataclass(frozen=True)
class Layout:
    """The label and the split of the images in each folder; None where no folder names one."""

    label: dict[Parts, str | None] = field(default_factory=dict)
    split: dict[Parts, str | None] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)


def read_layout(counts: Mapping[Parts, int], dataset: DatasetSettings) -> Layout:
    """The layout of the folders with images; `counts` is the number of images in each folder itself.

    Raises `UserError` if `class_level` is below all folders.
    """
    layout, tree = Layout(), Tree(counts)
    level = dataset.class_level
    if level is not None and counts and level > tree.depth:
        raise UserError(
            f"class_level = {level} in [dataset], but the folders with images in {dataset.source} are at most "
            f"{tree.depth} deep: choose 0 to {tree.depth}."
        )
    splits = find_splits(tree, dataset.splits, level)
    found: _Found = {}
    for parts in counts:
        telling = tree.telling(parts)
        split, named_by = splits.find(parts, telling)
        found[parts] = split, [level for level in telling if level not in named_by]
    layout.split.update({parts: split for parts, (split, _) in found.items()})
    layout.label.update(_label_at(found, level) if level is not None else _find_labels(found, tree, layout.notes))
    _take_unlabeled(layout)
    _note_splits(splits, tree, dataset, layout.notes)
    if tree.wrappers and level is None:
        layout.notes.remarks.append(f"All images lie below {'/'.join(tree.wrappers)}/, which names no class or split.")
    if tree.parts and level is None:
        layout.notes.remarks.append(
            f"Folders that only number parts of the images name no class: {enumerate_some(tree.parts)}."
        )
    return layout


def _label_at(found: _Found, level: int) -> dict[Parts, str | None]:
    """The name of the folder at a level, unless it says nothing while others do."""
    telling = any(level in levels for _, levels in found.values())
    return {
        parts: parts[level - 1] if 0 < level <= len(parts) and (level in levels or not telling) else None
        for parts, (_, levels) in found.items()
    }


def _find_labels(found: _Found, tree: Tree, notes: Notes) -> dict[Parts, str | None]:
    """The label of each folder by the level that is most likely the class; a doubt if another one may be."""
    counts: Counter[Parts] = Counter()
    for parts, (split, levels) in found.items():
        if split != "unlabeled":
            counts[tuple(parts[level - 1] for level in levels)] += tree.counts[parts]
    choice = choose_depth(counts)
    level_of = {parts: levels[choice.depth] for parts, (_, levels) in found.items() if len(levels) > choice.depth}
    if choice.doubt:
        images_at = Counter[int]()
        for parts, level in level_of.items():
            images_at[level] += tree.counts[parts]
        sentence = f"It is unclear which level of folders names the class: {choice.doubt}."
        notes.doubts.append(Doubt("class_level", sentence, images_at.most_common(1)[0][0]))
    elif around := [parts for parts in level_of if choice.depth and len(parts) >= level_of[parts]]:
        level = level_of[around[0]]
        notes.remarks.append(
            f"The folders around those of the classes name no class: {'/'.join(around[0][:level])} is "
            f"{around[0][level - 1]}."
        )
    elif inner := [parts for parts in level_of if len(found[parts][1]) > choice.depth + 1]:
        label = inner[0][level_of[inner[0]] - 1]
        notes.remarks.append(f"The folders inside those of the classes name no class: {'/'.join(inner[0])} is {label}.")
    return {parts: parts[level_of[parts] - 1] if parts in level_of else None for parts in found}


def _take_unlabeled(layout: Layout) -> None:
    """Take the label of images of the split unlabeled, and of those in a folder called unlabeled beside classes."""
    names = set()
    for parts, label in layout.label.items():
        if label and "unlabel" in fold(label) and find_split(label) == "unlabeled":
            names.add(label)
            layout.split[parts] = "unlabeled"
        if layout.split[parts] == "unlabeled":
            layout.label[parts] = None
    if names:
        layout.notes.remarks.append(f"Images in {enumerate_some(names)} have no label.")


def _note_splits(splits: SplitFolders, tree: Tree, dataset: DatasetSettings, notes: Notes) -> None:
    """Say what was taken for a split under an unusual name, and ask about names that are unclear."""
    known = splits.split_of | {name: split for inner in splits.inner.values() for name, split in inner.items()}
    if not {fold(name) for name in known.keys() - dataset.splits.keys()} <= USUAL:
        said = ", ".join(f"{name} is {split}" for name, split in sorted(known.items()) if name != split)
        notes.remarks.append(f"Splits by the names of folders: {said}.")
    if splits.beside_classes and splits.split_of:
        notes.remarks.append(f"A split of the classes beside it is in {enumerate_some(splits.split_of)}.")
    if splits.guessed:
        notes.doubts.append(_ask_split(splits, tree, dataset))


def _ask_split(splits: SplitFolders, tree: Tree, dataset: DatasetSettings) -> Doubt:
    images = Counter[str]()
    for parts, count in tree.counts.items():
        if len(parts) >= splits.level and parts[splits.level - 1] in splits.guessed:
            images[parts[splits.level - 1]] += count
    said = " and ".join(f"{name} ({count:,} images)" for name, count in images.most_common())
    if splits.beside_classes:
        sentence = (
            f"It is unclear whether {said} is a split, as its name says, or a class, as the folders beside it: "
            f"for a class, set class_level = {splits.level}."
        )
    else:
        sentence = f"The folders {enumerate_some(splits.split_of)} are splits, but it is unclear which one is {said}."
    return Doubt("splits", sentence, {**dataset.splits, **splits.guessed})
