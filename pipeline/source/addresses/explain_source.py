"""Say why the text of a source names nothing on this system: an address, a Windows path, an unexpanded variable."""

import os
import re
from pathlib import Path

from lake.storage.places import WINDOWS
from pipeline.source.paths.spellings import is_address, spell, what_is_wrong
from pipeline.source.printable import show

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})|%(\w+)%")
_OTHER_MACHINE = re.compile(r"[\w.-]+@[\w.-]+:.*", flags=re.DOTALL)


def explain_source(text: str) -> str | None:
    """One sentence on what is wrong with the setting `source` and what to write instead; None if nothing is seen.

    Whether the source exists is not judged; what does exist is never wrong.
    """
    if not text.strip():
        return "The source is empty: name a folder, a table or an archive."
    if wrong := what_is_wrong(text):
        return f"The source {show(text)} is not a path: {wrong}."
    if _exists(text):
        return None
    source = show(text, 200)
    if is_address(text):
        return f"The source {source} is an address: download it, and set source to the file or folder on this machine."
    if WINDOWS.match(text):
        return f"The source {source} is a Windows path: {_on_this_system(text)}."
    if _OTHER_MACHINE.fullmatch(text):
        return f"The source {source} lies on another machine: copy it to this one, and set source to the copy."
    if match := _VARIABLE.search(text):
        return f"The source {source} holds the variable {match[0]}, which is not replaced: {_replacement(text, match)}."
    return _quoted(text) or _home_of_nobody(text)


def _on_this_system(text: str) -> str:
    path = spell(text)
    if path.startswith("//"):
        return f"mount the share {'/'.join(path.split('/')[:4])}, and write the path below the mount"
    return f"in WSL it is {show(f'/mnt/{path[0].lower()}{path[2:]}')}, elsewhere write the path on this machine"


def _replacement(text: str, match: re.Match[str]) -> str:
    name = match[1] or match[2] or match[3]
    rest = text[match.end() :]
    if match.start() == 0 and name in ("HOME", "USERPROFILE"):
        return f"write {show('~' + rest.replace(chr(92), '/'))}"
    value = os.environ.get(name)
    if value and match.start() == 0 and value.startswith("/"):
        return f"write {show(value + rest)}"
    return "write the whole path"


def _quoted(text: str) -> str | None:
    bare = text.strip().strip("\"'").strip()
    if bare == text or not bare:
        return None
    what = "blanks" if bare == text.strip() else "quotation marks"
    return f"The source {show(text)} has {what} around its path: write {show(bare)}."


def _home_of_nobody(text: str) -> str | None:
    if not text.startswith("~"):
        return None
    try:
        Path(text).expanduser()
    except RuntimeError:
        return f"The home folder of {show(text.split('/')[0])} is not known: write the whole path."
    return None


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False
