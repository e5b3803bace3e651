"""WebDataset: tars in which the members of a sample share their name, as `000001.jpg` and `000001.cls`.

Every shard is read through once for its headers and labels; an image is read at its place in the shard when it is
needed. The label is the `.cls`, else the key label, class or cls of the `.json`, else the `.txt` if it is no caption.
"""

import glob
import itertools
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from lake.errors import UserError, first_line
from pipeline.pixels.decode import MAX_BYTES, Unusable
from pipeline.source.archives.kinds import find_kind
from pipeline.source.archives.sample_columns import Columns
from pipeline.source.archives.shard_classes import apply_names, find_names
from pipeline.source.archives.unpack import TarReader, reading
from pipeline.source.listing import ListedImage, Listing, readable
from pipeline.source.meaning.split_names import find_split, map_splits
from pipeline.source.notes import Aside, Doubt, Notes

IMAGES = {"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "jp2", "ppm", "pgm"}
TEXTS = {"cls", "json", "txt"}
LABEL_KEYS = ("label", "class", "cls")
MAX_TEXT = 2**20
"""Bytes of a label or a JSON; longer ones are refused."""
LOOKED_AT = 2000
"""Members of the first shard by which a WebDataset is recognised."""
CAPTIONS_FROM = 20
"""With this many samples, texts of which most differ are captions."""
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
BOXES = re.compile(r"(\S+( -?\d*\.?\d+){4,}\s*)+")
"""Annotations of boxes, as YOLO writes them: a class and four or more numbers a line."""
TARS = (".tar", ".tar.gz", ".tgz")
FOLDERS = ("data", "shards")
"""Folders besides those of splits that hold the shards of a source."""


@dataclass(frozen=True)
class TarMember:
    """A member of an uncompressed tar: where it lies, in bytes, and the time of the tar when it was listed."""

    shard: Path
    offset: int
    size: int
    changed_ns: int

    def read(self) -> bytes | Unusable:
        """The content; unusable if the shard is gone or has changed since it was listed."""
        if self.size > MAX_BYTES:
            return Unusable("too many bytes", f"{self.size:,} bytes, at most {MAX_BYTES:,} are read")
        try:
            with self.shard.open("rb") as file:
                if os.fstat(file.fileno()).st_mtime_ns != self.changed_ns:
                    return Unusable("unreadable file", f"{self.shard.name} has changed since it was listed")
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            return Unusable("unreadable file", f"{self.shard.name}: {error.strerror}")
        return data if len(data) == self.size else Unusable("truncated", f"{self.shard.name} ends early")


@dataclass
class _Sample:
    """The members of one sample by extension: images, texts, and what is wrong with it."""

    images: dict[str, TarMember] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    annotation: dict[str, Any] = field(default_factory=dict)
    problem: Unusable | None = None


def find_shards(source: Path) -> list[Path]:
    """The tars of a folder, also of its folders of data or splits, or of a pattern, or a single one; sorted.

    A pattern is `train-*.tar` or `train-{000..146}.tar`.

    Raises `UserError` if a shard of a range is missing.
    """
    if source.is_dir():
        inside = _children(source)
        folders = [path for path in inside if (path.name in FOLDERS or find_split(path.name)) and path.is_dir()]
        below = [child for folder in folders for child in _children(folder)]
        return sorted(path for path in (*inside, *below) if path.name.lower().endswith(TARS))
    text = str(source)
    if not (match := RANGE.search(text)):
        return [source] if source.exists() else sorted(map(Path, glob.glob(text)))  # noqa: PTH207 (may be absolute)
    first, last = match.groups()
    numbers = range(int(first), int(last) + 1)
    shards = [Path(f"{text[: match.start()]}{n:0{len(first)}}{text[match.end() :]}") for n in numbers]
    if missing := next((shard for shard in shards if not shard.exists()), None):
        raise UserError(f"The shard {missing} of {source} does not exist: check the range.")
    return shards


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # an unreadable folder is refused by what reads it
        return []


def is_webdataset(paths: list[Path]) -> bool:
    """Whether tars hold samples of an image and its label or JSON, by the first members of the first one."""
    if not paths or not paths[0].is_file():
        return False
    try:
        samples = _read_samples(paths[0], LOOKED_AT)
    except UserError:
        return False
    pictured = {key: sample for key, sample in samples.items() if sample.images}
    labelled = sum("cls" in sample.texts or _label_key(sample) is not None for sample in pictured.values())
    one_folder = len({key.rpartition("/")[0] for key in pictured}) == 1
    described = sum("json" in sample.texts or _is_text(sample) for sample in pictured.values())
    return bool(pictured) and 2 * max(labelled, described if one_folder else 0) >= len(pictured)


def list_webdataset(paths: list[Path], splits: Mapping[str, str] | None = None) -> Listing:
    """The samples of shards; scalar values of their JSON are columns.

    A split is that of the name of the shard or its folder; `splits` gives that of names that mean none, without their
    numbers. Raises `UserError` if a shard is compressed or damaged.
    """
    root = Path(os.path.commonpath([path.parent for path in paths]))
    shard_splits, notes = _find_splits(paths, root, splits or {})
    listing, columns, aside = Listing(notes=notes), Columns(), list[str]()
    texts, without = list[str | None](), True
    for path in paths:
        prefix = readable(path.relative_to(root).with_suffix("").as_posix())
        for key, sample in _read_samples(path).items():
            without &= "cls" not in sample.texts and _label_key(sample) is None
            entry = _list_sample(f"{prefix}/{key}", sample, shard_splits[path], columns.rows)
            if isinstance(entry, ListedImage):
                aside += [f"{prefix}/{key}.{extension}" for extension in list(sample.images)[1:]]
                listing.images.append(entry)
                columns.add(sample.annotation)
                texts.append(sample.texts.get("txt"))
            else:
                listing.refused.append((f"{prefix}/{key}", entry))
    _settle_texts(listing, texts, columns, may_be_labels=without)
    above = [root.parent] if find_split(root.name) else []
    apply_names(listing, find_names([*dict.fromkeys(path.parent for path in paths), root, *above]))
    listing.table = columns.to_frame(listing.notes)
    if not listing.table.width:
        listing.images = [replace(entry, row=-1) for entry in listing.images]
    if aside:
        listing.notes.asides.append(Aside("further images of a sample", len(aside), aside[0]))
    if listing.images and (count := sum(entry.label is None for entry in listing.images)):
        listing.notes.remarks.append(f"{count:,} of {len(listing.images):,} samples have no label.")
    return listing


def _list_sample(name: str, sample: _Sample, split: str | None, row: int) -> ListedImage | Unusable:
    if sample.problem:
        return sample.problem
    plain = [extension for extension in sample.images if extension in IMAGES]
    choices = plain or list(sample.images)
    if len(choices) != 1:
        found = ", ".join(choices)
        return Unusable("several images", found) if choices else Unusable("image missing", "only other members")
    chosen = sample.images.pop(choices[0])
    sample.images = {choices[0]: chosen, **sample.images}
    label = sample.texts.get("cls")
    if label is None and (key := _label_key(sample)) is not None:
        value = sample.annotation.pop(key)
        if isinstance(value, list | dict):
            return Unusable("several labels", f"{key} is {json.dumps(value)[:60]}")
        label = None if value is None else str(value)
    return ListedImage(f"{name}.{choices[0]}", chosen, (label or "").strip() or None, split, row)


def _settle_texts(listing: Listing, texts: list[str | None], columns: Columns, *, may_be_labels: bool) -> None:
    """Take texts as labels if no sample has any other; captions become a column."""
    known = [text.strip() for text in texts if text and text.strip()]
    if not known:
        return
    if not may_be_labels:
        columns.add_column("txt", texts)
        return
    if any(BOXES.fullmatch(text) for text in known):
        listing.notes.remarks.append(
            "The .txt of the samples are annotations of boxes, not labels: they are left aside."
        )
    elif any("\n" in text for text in known) or (len(known) >= CAPTIONS_FROM and 2 * len(set(known)) > len(known)):
        listing.notes.remarks.append("The .txt of the samples are captions, not labels: they are the column txt.")
        columns.add_column("txt", texts)
    else:
        listing.images = [
            replace(entry, label=(text or "").strip() or None)
            for entry, text in zip(listing.images, texts, strict=True)
        ]


def _label_key(sample: _Sample) -> str | None:
    return next((key for key in LABEL_KEYS if key in sample.annotation), None)


def _is_text(sample: _Sample) -> bool:
    """Whether a sample has a text that may be its label or caption."""
    return bool(text := sample.texts.get("txt", "").strip()) and not BOXES.fullmatch(text)


def _read_samples(shard: Path, members: int | None = None) -> dict[str, _Sample]:
    """The samples of a shard in order, by their key; of its first `members` only, if given."""
    try:
        return _scan(shard, members)
    except OSError as error:
        raise UserError(f"The shard {shard} cannot be read ({error.strerror}): check the file.") from None


def _scan(shard: Path, members: int | None) -> dict[str, _Sample]:
    if find_kind(shard) != "tar":
        raise UserError(
            f"The shard {shard} is compressed: unpack it (gunzip {shard.name}), as images are read in place."
        )
    samples: dict[str, _Sample] = {}
    changed_ns = shard.stat().st_mtime_ns
    with reading(shard), shard.open("rb") as stream, closing(TarReader(stream)) as reader:
        for member in itertools.islice(_regular(reader), members):
            path = PurePosixPath(readable(member.name))
            stem, _, extension = path.name.partition(".")
            if stem and extension:
                sample = samples.setdefault((path.parent / stem).as_posix(), _Sample())
                place = TarMember(shard, member.offset_data, member.size, changed_ns)
                _add(sample, extension.lower(), place, reader, member)
    return samples


def _regular(reader: TarReader) -> Iterator[tarfile.TarInfo]:
    return (member for member in reader if member.isreg() and not member.issparse())


def _add(sample: _Sample, extension: str, place: TarMember, reader: TarReader, member: tarfile.TarInfo) -> None:
    if extension in sample.images or extension in sample.texts:
        sample.problem = Unusable("duplicate name", f"two members .{extension}")
    elif extension.rpartition(".")[2] in IMAGES:
        sample.images[extension] = place
    elif extension in TEXTS and place.size > MAX_TEXT:
        sample.problem = Unusable("too many bytes", f"{place.size:,} bytes in .{extension}")
    elif extension in TEXTS:
        stream = reader.tar.extractfile(member)
        _add_text(sample, extension, stream.read() if stream else b"")


def _add_text(sample: _Sample, extension: str, data: bytes) -> None:
    try:
        sample.texts[extension] = data.decode("utf-8-sig")
        if extension == "json":
            found = json.loads(sample.texts["json"])
            sample.annotation = found if isinstance(found, dict) else {}
    except (ValueError, RecursionError) as error:
        sample.problem = Unusable("damaged annotation", f".{extension}: {first_line(error)}")


def _find_splits(paths: list[Path], root: Path, given: Mapping[str, str]) -> tuple[dict[Path, str | None], Notes]:
    """The split of each shard, by its name or its folders; a doubt if only some of the shards name one."""
    names = {path: _without_number(path.name.partition(".")[0]) for path in paths}
    known = map_splits(set(names.values()))
    found: dict[Path, str | None] = {}
    for path, name in names.items():
        folders = path.relative_to(root).parts[:-1]
        found[path] = given.get(name) or known[name] or _first(given.get(part) or find_split(part) for part in folders)
    notes = Notes()
    if any(found.values()) and (unknown := dict.fromkeys(names[path] for path in paths if not found[path])):
        listed = ", ".join(map(repr, unknown))
        sentence = f"The shards {listed} name no split, as others do: which one is it?"
        notes.doubts.append(Doubt("splits", sentence, dict.fromkeys(unknown, "train")))
    return found, notes


def _without_number(stem: str) -> str:
    return stem.rstrip("0123456789").rstrip("-_ ") or stem


def _first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value), None)
