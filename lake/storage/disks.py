"""Explanations of disk errors, by errno; errors from Rust carry it in their message."""

import errno
import os
import re
import traceback
from pathlib import Path

RUST_ERRNO = re.compile(r"\(os error (\d+)\)")
REASONS = {
    errno.EACCES: "no permission to {doing} {place}",
    errno.EPERM: "no permission to {doing} {place}",
    errno.EROFS: "the disk of {place} is mounted read-only",
    errno.ENOSPC: "no space left on the disk of {place}",
    errno.EDQUOT: "the disk quota for {place} is used up",
    errno.EFBIG: "a file in {place} would exceed the maximum file size",
    errno.EIO: "the disk of {place} reports an I/O error",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
}
IO_PACKAGES = {"polars", "deltalake", "pyarrow", "numpy", "safetensors"}


def find_reason(error: BaseException, place: str | Path, doing: str = "write in") -> str | None:
    """Return why a disk operation failed, as in "no space left on the disk of data/lake"; None for other errors."""
    match = RUST_ERRNO.search(str(error))
    number = getattr(error, "errno", None) or (int(match[1]) if match else 0)
    return REASONS[number].format(place=place, doing=doing) if number in REASONS else None


def is_about(error: OSError, root: str | Path) -> bool:
    """Return whether an `OSError` concerns a file below the root, as far as the error names the file."""
    if error.filename is not None:
        path, folder = (os.path.realpath(os.fsdecode(name)) for name in (error.filename, str(root)))
        return path == folder or path.startswith(folder.rstrip("/") + "/")
    return error.errno is not None or RUST_ERRNO.search(str(error)) is not None or _is_of_a_package(error)


def _is_of_a_package(error: BaseException) -> bool:
    *_, (frame, _) = [(None, 0), *traceback.walk_tb(error.__traceback__)]
    return frame is not None and str(frame.f_globals.get("__name__")).split(".")[0] in IO_PACKAGES
