"""Segmentation masks: images that belong to another image, beside it or in a folder parallel to its own."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from pipeline.source.folders.kinds import stem, suffix
from pipeline.source.folders.names import NEUTRAL, words_of
from pipeline.source.folders.walk import Folder, Parts

WORDS = words_of(
    "mask masks label labels annotation annotations segmentation segmentations seg gt groundtruth truth trimap trimaps"
)
LOSSLESS = words_of("png bmp gif tif tiff")
"""Formats of masks beside their images; a JPEG called x_mask is a photo, such as of a face with a mask."""
_ENDING = re.compile(r"[ _.-]+(mask|masks|seg|segmentation|label|labels|gt|annotation)([ _-]?\d+)?$", re.IGNORECASE)


def find_masks(folders: Sequence[Folder]) -> dict[Parts, set[str]]:
    """The files of each folder that are masks of images that are there too."""
    masks = {folder.parts: beside for folder in folders if (beside := _beside(folder))}
    for folder in _parallel(folders):
        masks[folder.parts] = set(folder.files)
    return masks


def _beside(folder: Folder) -> set[str]:
    """The files called as another one with an ending: x_mask.png beside x.jpg."""
    suspects = [name for name in folder.files if suffix(name) in LOSSLESS and _base(name) is not None]
    stems = {stem(name) for name in folder.files} if suspects else set()
    return {name for name in suspects if _base(name) in stems}


def _parallel(folders: Sequence[Folder]) -> Iterator[Folder]:
    """The folders called masks or the like in which at least half of the files are called as an image beside it."""
    files_of = {folder.parts: folder.files for folder in folders}
    siblings = defaultdict(set)
    for parts in files_of:
        for depth, name in enumerate(parts):
            siblings[parts[:depth]].add(name)
    for folder in folders:
        same = {stem(file) for parts in _counterparts(folder.parts, siblings) for file in files_of.get(parts, ())}
        ended = {stem(file) for parts in _siblings(folder.parts, siblings) for file in files_of.get(parts, ())}
        if not same and not ended:
            continue
        matched = [file for file in folder.files if stem(file) in same or _base(file) in same | ended]
        if 2 * len(matched) >= len(folder.files):
            yield folder


def _siblings(parts: Parts, siblings: Mapping[Parts, set[str]]) -> Iterator[Parts]:
    """The folders parallel to one of masks, whatever they are called: test/x for ground_truth/x."""
    for depth, name in enumerate(parts):
        if not WORDS.isdisjoint(_words(name)):
            yield from ((*parts[:depth], other, *parts[depth + 1 :]) for other in siblings[parts[:depth]] - {name})


def _counterparts(parts: Parts, siblings: Mapping[Parts, set[str]]) -> Iterator[Parts]:
    """Where the images of the masks of a folder may lie: images/x for masks/x, train/x for train_masks/x, and x."""
    for depth, name in enumerate(parts):
        words = _words(name)
        if WORDS.isdisjoint(words):
            continue
        above, below, rest = parts[:depth], parts[depth + 1 :], words - WORDS - NEUTRAL - {"ground"}
        for other in siblings[above]:
            says = _words(other)
            if says and WORDS.isdisjoint(says) and says - NEUTRAL in (rest, set()):
                yield (*above, other, *below)
                if below:
                    yield (*above, other)
        if not rest:
            yield above + below


def _base(file: str) -> str | None:
    """The stem of a file without the ending of masks; None if it has no such ending."""
    base = _ENDING.sub("", stem(file))
    return base if base != stem(file) else None


def _words(name: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()))
