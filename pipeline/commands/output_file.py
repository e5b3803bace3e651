"""Output files named by the user: checked first, then written completely or not at all."""

import os
import shutil
import stat
from pathlib import Path

from lake.atomic_files import write_whole
from lake.errors import UsageError, UserError
from lake.storage.disks import find_reason


def check_place(path: Path) -> None:
    """Raises `UsageError` if no file can be written there: a folder, a pipe, too long a name, or no parent folder."""
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        if not path.absolute().parent.is_dir():
            raise UsageError(f"There is no folder {path.parent}: create it, or name another file.") from None
        return
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}): name another file.") from None
    if stat.S_ISDIR(kind):
        raise UsageError(f"{path} is a folder: name a file in it.")
    if not stat.S_ISREG(kind):
        raise UsageError(f"{path} is not a regular file: name another file.")


def check_free(path: Path, *, force: bool) -> None:
    """Raises `UsageError` if the file exists and `force` is not given, or if it is read-only."""
    if path.exists() and not force:
        raise UsageError(f"{path} already exists: name another file, or overwrite it with --force.")
    if path.exists() and not os.access(path, os.W_OK):
        raise UsageError(f"{path} cannot be written (it is read-only): name another file.")


def write_file(path: Path, content: bytes) -> None:
    """Write the content to the file or the target of a link. On failure raises `UserError` and keeps the old file."""
    file = Path(os.path.realpath(path))

    def fill(part: Path) -> None:
        part.write_bytes(content)
        if file.exists():
            shutil.copymode(file, part)
        else:
            part.chmod(0o666 & ~_umask())

    try:
        write_whole(file, fill)
    except OSError as error:
        reason = find_reason(error, path.absolute().parent) or error.strerror
        raise UserError(f"{path} cannot be written: {reason}. Fix this, or name another file.") from None


def _umask() -> int:
    """The umask of this process, which can only be read by setting it."""
    os.umask(umask := os.umask(0o077))
    return umask
