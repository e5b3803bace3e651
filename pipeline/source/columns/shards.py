"""The files of a table that is kept in shards: which belong to it, in which order, and which split each is of.

A hub names them `data/train-00000-of-00002.parquet` or `default/train/0000.parquet`, `datasets` saves
`train/data-00000-of-00001.arrow`, and Hive has folders `split=train/part-0.parquet`.
"""

import glob
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from urllib.parse import unquote

from natsort import natsorted

from lake.errors import UserError
from pipeline.source.listing import readable
from pipeline.source.meaning.split_names import map_splits
from pipeline.source.notes import Doubt, Notes

KINDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".parq": "parquet",
    ".arrow": "Arrow",
    ".feather": "Arrow",
    ".ipc": "Arrow",
}
COMPRESSIONS = {".gz", ".gzip", ".snappy", ".zstd", ".zst", ".brotli", ".br", ".lz4"}
"""Suffixes that pandas users add to name the compression inside of the parquet file, as in photos.parquet.gzip."""
LOGS = {"_delta_log": "Delta table", ".hoodie": "Hudi table", "metadata/version-hint.text": "Iceberg table"}
"""What marks the folder of a table whose log says which of its files still count."""
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_NUMBERED = re.compile(r"(?P<name>.*?)[-_.]?(?P<number>\d+)[-_.]of[-_.](?P<total>\d+).*", re.DOTALL)
_PART = re.compile(r"(?P<name>part|shard|chunk)[-_.]?\d+.*|(?P<other>.*?)[-_.]?\d+", re.DOTALL)


@dataclass(frozen=True)
class Shard:
    """A file of the table."""

    path: Path
    folders: tuple[str, ...] = ()
    """Below the source, without those of Hive."""
    partition: dict[str, str | None] = field(default_factory=dict)
    """Columns whose value is in the names of folders: `label=cat`."""

    @property
    def name(self) -> str:
        """The name without suffix and number: train for train-00000-of-00002.parquet; may be empty."""
        stem = readable(_stem(self.path))
        if match := _NUMBERED.fullmatch(stem):
            return match["name"]
        if match := _PART.fullmatch(stem):
            return match["name"] or match["other"]
        return stem

    @property
    def total(self) -> int | None:
        """Of how many shards it is one; None if its name does not say."""
        match = _NUMBERED.fullmatch(_stem(self.path))
        return int(match["total"]) if match else None

    @property
    def series(self) -> str:
        """What is common to the shards that belong together: folders and name."""
        return "/".join(part for part in (*self.folders, self.name) if part)


def column_kind(path: Path) -> str | None:
    """Parquet or Arrow by the suffix of the file; None if it is of another kind."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return KINDS.get(suffixes[-1]) if suffixes else None


def is_pattern(source: Path) -> bool:
    """Whether the path is a pattern such as data/train-*.parquet rather than the name of a file."""
    return glob.has_magic(str(source)) and not source.exists()


def find_shards(source: Path) -> list[Shard]:
    """The shards of a file, folder or pattern in natural order, those of a series together.

    Raises `UserError` if there are none, or if they do not belong to one table.
    """
    base = base_of(source)
    if is_pattern(source):
        matches = base.glob(source.relative_to(base).as_posix())
        paths = [path for path in matches if _is_shard(path) and path.is_file() and not path.name.startswith(".")]
    elif source.is_dir():
        paths = [path for path in walk(source) if _is_shard(path)]
    else:
        return [Shard(source)]
    if not paths:
        raise UserError(f"The dataset {source} has no parquet or Arrow file: check source in [dataset].")
    _refuse_tables(source, paths)
    kinds = {column_kind(path): path for path in paths}
    if len(kinds) > 1:
        raise UserError(
            f"The dataset {source} has both parquet and Arrow files, such as {kinds['parquet'].name} and "
            f"{kinds['Arrow'].name}: set source in [dataset] to those of one kind."
        )
    shards = [_locate(path, base) for path in natsorted(paths, key=lambda path: readable(path.as_posix()))]
    order = {series: i for i, series in enumerate(dict.fromkeys(shard.series for shard in shards))}
    return sorted(shards, key=lambda shard: order[shard.series])


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder; hidden ones, and those that tools mark with _, are skipped and links not followed."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "_")) or name == "_delta_log"]
        yield from (Path(parent, name) for name in files if not name.startswith((".", "_")))


def name_splits(shards: list[Shard], splits: Mapping[str, str], notes: Notes) -> list[str | None]:
    """The split of each shard by its name, or that of its folder; all None unless there are at least two.

    `splits` is the setting of that name. Notes a doubt about a name that means none while others do. Raises
    `UserError` if the folders may be several configurations of a data set, which would repeat its images.
    """
    names = {name for shard in shards for name in (shard.name, *shard.folders)}
    meaning: dict[str, str | None] = {**map_splits(names), **splits}
    levels = {
        shard.folders[:i] for shard in shards for i, folder in enumerate(shard.folders) if meaning[folder] is not None
    }
    _refuse_configurations(shards, levels)
    written = [_written(shard, meaning, levels) for shard in shards]
    found = [meaning[name] for name in written]
    if len(set(found) - {None}) < 2:
        return [None] * len(shards)
    named = dict(zip(written, found, strict=True))
    said = ", ".join(name if name == split else f"{name} is {split}" for name, split in named.items() if split)
    notes.remarks.append(f"The names of the files are taken for splits: {said}.")
    if unknown := [name for name, split in zip(written, found, strict=True) if split is None]:
        example = unknown[0]
        notes.doubts.append(
            Doubt(
                "splits",
                f"{unknown.count(example):,} of {len(shards):,} files are named {example!r}, which is no split, "
                "while others name theirs.",
                dict.fromkeys(unknown, "train"),
            )
        )
    return found


def count_missing(source: Path, shards: list[Shard]) -> list[str]:
    """One sentence for each series of which shards are missing: what is read is only a part."""
    sentences = []
    for series, group in groupby(shards, key=lambda shard: shard.series):
        totals = [shard.total for shard in group]
        total = totals[0]
        if total is None or len(totals) >= total:
            continue
        if source.is_file():
            sentences.append(f"{source.name} is one shard of {total:,}: the others are not read.")
        else:
            sentences.append(f"Only {len(totals):,} of the {total:,} shards of {series or 'the table'} are there.")
    return sentences


def _is_shard(path: Path) -> bool:
    """Whether a file is of the table, and none that `datasets` keeps beside it as the result of a transform."""
    kind = column_kind(path)
    return kind is not None and not (kind == "Arrow" and path.name.startswith("cache-"))


def _stem(path: Path) -> str:
    name = path.name
    while (suffix := Path(name).suffix) and suffix.lower() in COMPRESSIONS | KINDS.keys():
        name = name[: -len(suffix)]
    return name


def base_of(source: Path) -> Path:
    """The folder of the table: the source itself, that of the file, or that above the first part of a pattern."""
    if is_pattern(source):
        return _base(source)
    return source if source.is_dir() else source.parent


def _base(pattern: Path) -> Path:
    """The folder above the first part of a pattern that is not literal."""
    parts = list(pattern.parts)
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first])


def _locate(path: Path, base: Path) -> Shard:
    folders, partition = [], {}
    for part in path.parent.relative_to(base).parts:
        key, equals, value = readable(part).partition("=")
        if equals and key:
            partition[unquote(key)] = None if value == HIVE_NULL else unquote(value)
        else:
            folders.append(readable(part))
    return Shard(path, tuple(folders), partition)


def _refuse_tables(source: Path, paths: list[Path]) -> None:
    """Files of a table with a log may have been replaced: only the log says which are valid."""
    below = {parent for path in paths for parent in path.parents if parent.is_relative_to(base_of(source))}
    for folder in sorted(below):
        for mark, kind in LOGS.items():
            if not (folder / mark).exists():
                continue
            todo = "set source to that folder" if kind == "Delta table" else "export it as parquet files first"
            raise UserError(f"{folder} is a {kind}, whose log says which of its files are valid: {todo}.")


def _written(shard: Shard, meaning: Mapping[str, str | None], levels: set[tuple[str, ...]]) -> str:
    """The name that says the split, or might: of the file, otherwise of the folder among those of splits."""
    if meaning[shard.name] is not None:
        return shard.name
    folders = [folder for i, folder in enumerate(shard.folders) if shard.folders[:i] in levels]
    return folders[-1] if folders else shard.name


def _refuse_configurations(shards: list[Shard], levels: set[tuple[str, ...]]) -> None:
    configurations: dict[tuple[str, ...], Path] = {}
    for shard in shards:
        kept = (folder for i, folder in enumerate(shard.folders) if shard.folders[:i] not in levels)
        configurations.setdefault(tuple(kept), shard.path)
    if len(configurations) > 1:
        first, second = list(configurations.values())[:2]
        raise UserError(
            f"The files of the table lie in {len(configurations):,} folders, such as {first.parent} and "
            f"{second.parent}, which may be configurations of one data set: set source in [dataset] to one of them, "
            "or merge the files of all in one folder."
        )
