"""Find the files that a table names in its column of images.

Paths are relative to the folder of the table. They are looked up as they are written, then as people and tools write
them (backslashes, ~, file URIs, percent-encoding), then among all files below the folder: see
`pipeline.source.paths.matches`. What was assumed is said in remarks; a name that fits several files is refused.

A path that leaves the folder is refused unless `allow_outside`, in the same words whether there is a file or not. What
counts is the path as text: a link in the folder was put there by its owner, so that it may lead anywhere. To look for
files by their names, only links that stay below the folder are followed unless `allow_outside`.
"""

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.pixels.decode import Unusable
from pipeline.source.notes import Doubt, Notes
from pipeline.source.paths.file_index import MAX_FILES, FileIndex, KnownFiles
from pipeline.source.paths.matches import Match, match_files, root_of
from pipeline.source.paths.remarks import describe_matches, describe_spellings
from pipeline.source.paths.spellings import decode_percent, is_address, is_foreign, spell, what_is_wrong
from pipeline.source.printable import show

OUTSIDE = Unusable("outside the folder", "allowed by allow_outside = true")
ABOVE = 2
"""Folders above that of the table in which files are looked for if they may lie outside."""


@dataclass
class ResolvedPaths:
    """One entry of `images` for each row: its file or its address; None if the row has no text or is refused."""

    images: list[Path | str | None]
    refused: dict[int, Unusable] = field(default_factory=dict)
    """By row."""
    notes: Notes = field(default_factory=Notes)


def resolve_paths(texts: list[str | None], folder: Path, *, allow_outside: bool) -> ResolvedPaths:
    """The files and addresses that the texts of a column mean, relative to `folder`; no file is opened.

    A file that is found need not be readable or an image. Never raises because of a text.
    """
    search = _Search(texts, folder, allow_outside)
    search.take_as_written()
    search.take_other_spellings()
    if search.missing:
        search.look_below(search.folder)
        for level, above in enumerate(search.folder.parents[:ABOVE] if allow_outside else (), 1):
            if not search.has_found_any() and above not in (Path(above.anchor), _home()):
                search.base = "../" * level
                search.look_below(above)
    search.refuse_doubly_found()
    search.refuse_missing()
    search.say()
    return search.resolved


def outside(path: Path, folder: Path) -> bool:
    """Whether a path, relative to `folder` unless it is absolute, leaves it as it is written; links are not followed.

    An absolute path may also begin with the real path of the folder.
    """
    return _inside(str(path), _bases(folder)) is None


class _Search:
    """The rows of a column that are not found yet, and what is known of those that are."""

    def __init__(self, texts: list[str | None], folder: Path, allow_outside: bool) -> None:
        self.texts, self.allow_outside = texts, allow_outside
        self.folder = Path(os.path.abspath(folder))  # noqa: PTH100 (links stay)
        self.shown = folder
        self.bases = _bases(folder)
        self.known = KnownFiles()
        self.resolved = ResolvedPaths([None] * len(texts))
        self.missing: dict[int, str] = {}
        """Spelt path by row: relative to the folder if it lies inside."""
        self.rewritten: dict[int, str] = {}
        """Path by row of those found as another spelling."""
        self.matches: dict[int, Match] = {}
        self.found_roots: set[str] = set()
        """Roots of paths found without search; see `path_matches`."""
        self.base = ""
        """Leads to the folder that was searched, such as ../"""
        self.count = 0
        """Rows with a path."""

    def take_as_written(self) -> None:
        """Find relative paths that are simply right, which are most, and set addresses aside."""
        base, images = self.bases[0], self.resolved.images
        for row, text in enumerate(self.texts):
            if text is None or not text or text.isspace():
                continue
            if is_address(text):
                images[row] = text.strip()
                continue
            self.count += 1
            if text[0] != "/" and ".." not in text and self.known.has(f"{base}/{text}"):
                images[row] = self.shown / text
            else:
                self.missing[row] = text
        if len(self.missing) < self.count:
            self.found_roots.add(".")

    def take_other_spellings(self) -> None:
        """Find paths that are right in another spelling, and absolute ones; spell those that are still missing."""
        for row, text in list(self.missing.items()):
            spelt = spell(text)
            for path in dict.fromkeys((text, spelt, decode_percent(spelt))):
                if (found := self._find(path)) is not None:
                    self.resolved.images[row] = found
                    self.found_roots.add(root_of(spelt))
                    if path != text:
                        self.rewritten[row] = path
                    del self.missing[row]
                    break
            else:
                inside = _inside(spelt, self.bases)
                self.missing[row] = spelt if inside is None else inside

    def has_found_any(self) -> bool:
        """Whether any path fits a file, or several."""
        return bool(self.found_roots or self.matches or self.resolved.refused)

    def look_below(self, folder: Path) -> None:
        """Look for the missing among all files below a folder."""
        index = FileIndex.of(folder, follow_links=self.allow_outside, max_files=MAX_FILES)
        if index is None:
            self.resolved.notes.remarks.append(
                f"{folder} holds more than {MAX_FILES:,} files: images are only found by paths that are fully right."
            )
            return
        self._match(dict(self.missing), index, folder)
        decoded = {row: decode_percent(path) for row, path in self.missing.items() if "%" in path}
        if decoded:
            self._match(decoded, index, folder)

    def refuse_doubly_found(self) -> None:
        """Refuse rows whose file was found by a search although another text leads to it, too."""
        if not self.matches:
            return
        texts: defaultdict[Path, set[str]] = defaultdict(set)
        for row, image in enumerate(self.resolved.images):
            if isinstance(image, Path):
                texts[image].add(self.texts[row] or "")
        for row in list(self.matches):
            image = self.resolved.images[row]
            if isinstance(image, Path) and len(texts[image]) > 1:
                first, second, *_ = sorted(texts[image])
                self.resolved.refused[row] = Unusable(
                    "ambiguous name", f"both {show(first)} and {show(second)} lead to {show(self._name(image))}"
                )
                self.resolved.images[row] = None
                del self.matches[row]

    def refuse_missing(self) -> None:
        """Give a reason for each row that is not found; it does not depend on files outside unless they are allowed."""
        for row, path in self.missing.items():
            self.resolved.refused[row] = self._reason(path)

    def say(self) -> None:
        """Note what was assumed, and what answers if most are missing."""
        notes = self.resolved.notes
        rewritten = {row: (self.texts[row] or "", path) for row, path in self.rewritten.items()}
        notes.extend(describe_spellings(rewritten))
        notes.extend(describe_matches([(self.texts[row] or "", m) for row, m in self.matches.items()], self.base))
        ambiguous = [row for row, why in self.resolved.refused.items() if why.reason == "ambiguous name"]
        if ambiguous:
            row = ambiguous[0]
            notes.remarks.append(
                f"{len(ambiguous):,} of {self.count:,} names fit no single file, such as {show(self.texts[row] or '')} "
                f"({self.resolved.refused[row].detail}): write their folders in the column."
            )
        if len(self.missing) * 2 > self.count:
            self._say_why_missing()

    def _say_why_missing(self) -> None:
        reasons = Counter(self._reason(path).reason for path in self.missing.values())
        reason, count = reasons.most_common(1)[0]
        row = next(row for row, path in self.missing.items() if self._reason(path).reason == reason)
        example, total = show(self.texts[row] or ""), f"of the {self.count:,} files that the table names"
        where = f"below its folder {self.shown}, such as {example}"
        notes = self.resolved.notes
        if reason == OUTSIDE.reason:
            notes.doubts.append(
                Doubt("allow_outside", f"{count:,} {total} are not {where}: may it name files elsewhere?", True)
            )
        elif len(self.missing) == self.count and not self.allow_outside and reason == "missing file":
            question = "move the table to where its paths start, or may the folders above it be searched?"
            notes.doubts.append(Doubt("allow_outside", f"None {total} exists {where}: {question}", True))
        else:
            notes.remarks.append(f"{count:,} {total} are not found {where} ({reason}).")

    def _find(self, path: str) -> Path | None:
        """The file of a spelt path if it exists and may be looked at."""
        if (inside := _inside(path, self.bases)) is not None:
            return self.shown / inside if self.known.has(f"{self.bases[0]}/{inside}") else None
        if not self.allow_outside or is_foreign(path):
            return None
        absolute = os.path.normpath(f"{self.bases[0]}/{path}" if path[:1] != "/" else path)
        return Path(absolute) if self.known.has(absolute) else None

    def _match(self, paths: dict[int, str], index: FileIndex, folder: Path) -> None:
        shown = self.shown if folder == self.folder else folder
        for row, match in match_files(paths, index, self.found_roots).items():
            if len(match.files) == 1:
                self.resolved.images[row] = shown / match.files[0]
                self.matches[row] = match
            else:
                two, more = " and ".join(map(show, match.files[:2])), len(match.files) - 2
                self.resolved.refused[row] = Unusable("ambiguous name", two + (f" and {more:,} more" if more else ""))
            del self.missing[row]

    def _reason(self, path: str) -> Unusable:
        if wrong := what_is_wrong(path):
            return Unusable("invalid path", wrong)
        if is_foreign(path):
            return Unusable("missing file", f"{show(path)} is a path of Windows")
        if not self.allow_outside and _inside(path, self.bases) is None:
            return OUTSIDE
        return Unusable("missing file", show(path))

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.shown) if path.is_relative_to(self.shown) else path)


def _bases(folder: Path) -> tuple[str, str]:
    """The folder as it is written and its real path, both absolute, without a slash at the end."""
    written = os.path.abspath(folder)  # noqa: PTH100 (links stay)
    return written.rstrip("/"), os.path.realpath(written).rstrip("/")


def _inside(path: str, bases: tuple[str, str]) -> str | None:
    """A path relative to the folder; None if it leaves it."""
    if is_foreign(path):
        return None
    normal = os.path.normpath(path if path.startswith("/") else f"{bases[0]}/{path}")
    return next((normal[len(base) + 1 :] for base in bases if normal.startswith(f"{base}/")), None)


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None
