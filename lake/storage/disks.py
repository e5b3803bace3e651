"""What a disk says when it refuses, in words: by its number, which Rust writes into the text of its errors."""

import errno
import os
import re
import traceback
from pathlib import Path

RUST = re.compile(r"\(os error (\d+)\)")
REASONS = {
    errno.EACCES: "no permission to {doing} {place}",
    errno.EPERM: "no permission to {doing} {place}",
    errno.EROFS: "the disk of {place} is mounted read-only",
    errno.ENOSPC: "no space left on the disk of {place}",
    errno.EDQUOT: "the quota of the disk of {place} is used up",
    errno.EFBIG: "a file in {place} would be larger than is allowed",
    errno.EIO: "the disk of {place} fails",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
}
OUTSIDE = {"polars", "deltalake", "pyarrow", "numpy", "safetensors"}


def find_reason(error: BaseException, place: str | Path, doing: str = "write in") -> str | None:
    """Why the disk refused, as in "no space left on the disk of data/lake"; None where something else is wrong."""
    found = RUST.search(str(error))
    number = getattr(error, "errno", None) or (int(found[1]) if found else 0)
    return REASONS[number].format(place=place, doing=doing) if number in REASONS else None


def is_about(error: OSError, root: str | Path) -> bool:
    """Whether an error of the system is about a file below the root, as far as it says of which file it is."""
    if error.filename is not None:
        path, folder = (os.path.realpath(os.fsdecode(name)) for name in (error.filename, str(root)))
        return path == folder or path.startswith(folder.rstrip("/") + "/")
    return error.errno is not None or RUST.search(str(error)) is not None or _is_of_a_package(error)


def _is_of_a_package(error: BaseException) -> bool:
    *_, (frame, _) = [(None, 0), *traceback.walk_tb(error.__traceback__)]
    return frame is not None and str(frame.f_globals.get("__name__")).split(".")[0] in OUTSIDE
