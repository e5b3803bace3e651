"""Sentences on what was assumed to find the files that a table names."""

from collections import Counter
from collections.abc import Collection

from pipeline.source.notes import Notes
from pipeline.source.paths.file_index import suffix
from pipeline.source.paths.matches import STEM, Match
from pipeline.source.printable import show

Found = tuple[str, Match]
"""The text of a row, and the match that decided it."""


def describe_spellings(rewritten: dict[int, tuple[str, str]]) -> Notes:
    """A remark on paths that are right in another spelling: by row, the text and the path that was read from it."""
    if not rewritten:
        return Notes()
    text, path = next(iter(rewritten.values()))
    return Notes(remarks=[f"{_paths(len(rewritten))} read in another spelling: {show(text)} as {show(path)}."])


def describe_matches(matches: Collection[Found], base: str) -> Notes:
    """One remark for each way in which files were found by a search.

    `base` leads from the folder of the table to the folder that was searched: "", or ../ for the one above.
    """
    notes = Notes()
    ways: dict[tuple[str, str], list[Found]] = {}
    for found in matches:
        ways.setdefault((found[1].level.says, found[1].dropped), []).append(found)
    notes.remarks += [_remark(group, base) for group in ways.values()]
    asides = [match.aside for _, match in matches if match.aside is not None]
    examples = {_kind(aside): base + aside for aside in reversed(asides)}
    notes.set_aside(Counter(map(_kind, asides)), examples)
    return notes


def _remark(group: list[Found], base: str) -> str:
    text, match = group[0]
    example = f"{show(text)} is {show(base + match.files[0])}"
    fronts = {base + _front(found) for _, found in group}
    front = fronts.pop() if len(fronts) == 1 else None
    where = (front or "the table's folder") if front is not None else f"{len(fronts):,} folders"
    if match.dropped:
        return f"{_paths(len(group))} found in {show(where)} without their beginning {show(match.dropped)}: {example}."
    suffixes = {suffix(found.files[0]) for _, found in group}
    if match.level is STEM and front is not None and len(suffixes) == 1:
        return f"{len(group):,} ids are found as {show(front)}<id>{suffixes.pop()}: {example}."
    return f"{_paths(len(group), match.level.says)}{'' if front is not None else f' in {where}'}: {example}."


def _front(match: Match) -> str:
    """The folders in front of the matched part of a path, with a slash at the end."""
    return "".join(f"{part}/" for part in match.files[0].split("/")[: -match.depth])


def _kind(aside: str) -> str:
    return "thumbnails" if "thumb" in aside.lower() else "segmentation masks"


def _paths(count: int, verb: str = "are") -> str:
    return f"{count:,} paths {verb}" if count > 1 else f"1 path {verb.replace('are ', 'is ', 1)}"
