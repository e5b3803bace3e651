"""What the labels of new data mean, where the classes are known: as they are written, in folders and in lists.

A label in another spelling, such as Cat, is that of a class if only one class can be meant. Nothing is asked: what is
not a class stays unknown.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.source.folders.kinds import is_image_name, stem
from pipeline.source.folders.names import Look, is_neutral, look_of
from pipeline.source.meaning.labels import settle_labels
from pipeline.source.meaning.split_names import find_split

Meanings = Mapping[str, str | None]
"""The class of each label as it is written, None if it means no label; labels that are unknown are not in it."""


def read_meanings(written: Iterable[str], mapping: dict[str, str], classes: Sequence[str]) -> Meanings:
    """The meaning of labels by the setting `labels`, exactly or in another spelling."""
    texts = sorted(set(written))
    beside = [*texts, *classes]
    settled = settle_labels(beside, mapping, classes=classes)
    if settled.notes.doubts:
        settled = settle_labels(beside, settled.notes.doubts[0].suggestion, classes=classes)
    twins = Counter(map(_letters, classes))
    known = set(classes)
    meanings: dict[str, str | None] = {}
    for text, label in zip(texts, settled.labels[: len(texts)], strict=True):
        if label is None:
            meanings[text] = None
        elif label in known and (text in mapping or text.strip() == label or twins[_letters(label)] == 1):
            meanings[text] = label
    return meanings


def tell_meanings(counts: Mapping[str, int], meanings: Meanings) -> list[str]:
    """Sentences on labels that are read as a class of another spelling, or as no label; `counts` is of each label."""
    changed = [f"{text!r} as {label!r}" for text in sorted(counts) if (label := meanings.get(text)) and label != text]
    empty = {text: count for text, count in counts.items() if text.strip() and text in meanings and not meanings[text]}
    remarks = [f"Labels are read as the classes of the dataset: {enumerate_few(changed)}."] if changed else []
    if empty:
        words = enumerate_few(map(repr, sorted(empty)))
        remarks.append(f"Taken as images without a label: {sum(empty.values()):,} labelled {words}.")
    return remarks


def several(number: int, noun: str) -> str:
    """A number and what is counted, in the plural unless it is one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def enumerate_few(texts: Iterable[str], most: int = 3) -> str:
    """At most three texts and how many more there are."""
    every = list(texts)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def label_by_folders(
    names: Sequence[str], level: int | None, mapping: dict[str, str], classes: Sequence[str]
) -> list[str | None]:
    """The folder of each image that names its class, as it is written; None if none does.

    The class is named at `level`, counted from 1, if folders there are called as classes; otherwise at the level at
    which most images are in such a folder. A folder at this level that looks like a class but is none is an unknown
    label. Elsewhere, the only folder of an image that is called as a class names its class.
    """
    folders = [name.split("/")[:-1] for name in names]
    if level == 0:
        return [None] * len(names)
    parts = {part for path in folders for part in path}
    meanings = read_meanings(parts, mapping, classes)
    images_at: Counter[int] = Counter()
    for path in folders:
        images_at.update(number for number, part in enumerate(path, 1) if meanings.get(part))
    if not images_at:
        return [None] * len(names)
    best = level if level and images_at[level] else max(images_at, key=lambda number: (images_at[number], number))
    strange = {part for part in parts if part not in meanings and _looks_like_class(part, classes)}
    return [_label_of(path, best, meanings, strange) for path in folders]


def _label_of(path: list[str], best: int, meanings: Meanings, strange: Collection[str]) -> str | None:
    if any(find_split(part) == "unlabeled" and not meanings.get(part) for part in path):
        return None
    named = path[best - 1] if len(path) >= best else None
    if named is not None and meanings.get(named):
        return named
    found = [part for part in path if meanings.get(part)]
    if found:
        return found[-1] if len({meanings[part] for part in found}) == 1 else None
    return named if named in strange else None


def _looks_like_class(name: str, classes: Sequence[str]) -> bool:
    """Whether a folder beside those of classes may be one of another class, rather than a session or a split."""
    look = look_of({name})
    if is_neutral(name) or find_split(name):
        return False
    return look is Look.CLASSES or (look is Look.NUMBERS and any(label.strip().isdecimal() for label in classes))


def _letters(label: str) -> str:
    """A label without what spellings differ in."""
    return "".join(c for c in unicodedata.normalize("NFKC", label).casefold() if c.isalnum()) or label


@dataclass(frozen=True)
class Found:
    """What a written name stands for: an image, by its position, or a sample of the dataset, by its name."""

    image: int | None = None
    sample: str | None = None


class WrittenNames:
    """Images and samples by their names as lists write them: with or without folders and suffix, in any case."""

    def __init__(self, images: Mapping[int, str], samples: Mapping[str, str]) -> None:
        """`images` are the names of new images by position; samples are those of `plain_names`."""
        self._images = {position: _plain(name) for position, name in images.items()}
        self._exact = {name: position for position, name in reversed(self._images.items())}
        self._samples = samples
        self._by_key: dict[str, list[int]] = defaultdict(list)
        for position, name in self._images.items():
            last = name.rpartition("/")[2].casefold()
            for key in {last, stem(last)}:
                self._by_key[key].append(position)

    def find(self, written: str) -> Found | None:
        """The image or sample of a name; None if there is none, or more than one."""
        name = _plain(written)
        if name in self._exact:
            return Found(image=self._exact[name])
        if name in self._samples:
            return Found(sample=self._samples[name])
        *above, last = name.split("/")
        keys = [last.casefold(), *([stem(last.casefold())] if is_image_name(last) else [])]
        for key in keys:
            near = [position for position in self._by_key.get(key, ()) if self._lies_in(position, above)]
            exact = [position for position in near if self._images[position].rpartition("/")[2] == last]
            if near:
                only = exact or near
                return Found(image=only[0]) if len(only) == 1 else None
        return None

    def _lies_in(self, position: int, above: list[str]) -> bool:
        """Whether the folders of an image end as the written ones do, or the other way round."""
        actual = [part.casefold() for part in self._images[position].split("/")[:-1]]
        written = [part.casefold() for part in above]
        common = min(len(actual), len(written))
        return actual[len(actual) - common :] == written[len(written) - common :]


def plain_names(samples: Iterable[str]) -> dict[str, str]:
    """The name of each sample by its plain form, in which alone it is found: the full name, however it is encoded."""
    return {_plain(name): name for name in samples}


def _plain(name: str) -> str:
    return re.sub(r"^(\./)+", "", unicodedata.normalize("NFC", name).strip().replace("\\", "/"))
