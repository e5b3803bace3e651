"""Refresh lock of a lake, released when its process dies, and a file beside it that records the holder."""

import datetime as dt
import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from lake.errors import LakeError, RetryLater
from lake.storage.roots import check_folder
from lake.storage.store import Lake
from lake.text.formatting import say_age
from pipeline.engine.progress import Progress


class Holder(BaseModel):
    """The process that holds the lock."""

    owner: str
    pid: int
    since: dt.datetime

    @classmethod
    def this_process(cls) -> "Holder":
        """The current process."""
        return cls(owner=f"{_user()}@{socket.gethostname()}", pid=os.getpid(), since=dt.datetime.now(dt.UTC))

    def describe(self) -> str:
        """ "pid 4021 of ada@host, for 12 minutes"; a clock that went back counts as 0."""
        return f"pid {self.pid} of {self.owner}, for {say_age(dt.datetime.now(dt.UTC) - self.since)}"


@contextmanager
def only_one(lake: Lake, progress: Progress) -> Iterator[None]:
    """Hold the lake's refresh lock. A lock left by a dead process is taken over and reported.

    Raises `RetryLater` naming the holder, and `LakeError` if the lake cannot be written. Object storage has no lock:
    there, concurrent refreshes exclude each other when they commit.
    """
    if "://" in lake.root:
        yield
        return
    check_folder(lake.root)
    path = Path(lake.root) / "refresh.lock"
    holder_file = path.with_name("refresh.holder.json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=0)
        lock.acquire()
        if previous := _read_holder(holder_file):
            progress.say(f"An earlier refresh ({previous.describe()}) left its lock behind; it is taken over.")
        holder_file.write_text(Holder.this_process().model_dump_json(), encoding="utf-8")
    except Timeout:
        by = f" ({current.describe()})" if (current := _read_holder(holder_file)) else ""
        raise RetryLater(f"Another refresh of {lake.root} is running{by}: try again when it has finished.") from None
    except OSError as error:
        raise LakeError(
            f"The lake {lake.root} cannot be written to ({error.strerror or error}): free some space, fix its "
            "permissions or name another folder with --lake."
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # a file left behind is taken over
            holder_file.unlink(missing_ok=True)
        lock.release()


def _user() -> str:
    """The name of the current user, or the numeric id if the user has no name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # KeyError before Python 3.13, OSError from then on
        return str(os.getuid())


def _read_holder(holder_file: Path) -> Holder | None:
    """The holder recorded in the file; None if the file is missing or incomplete."""
    try:
        return Holder.model_validate_json(holder_file.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
