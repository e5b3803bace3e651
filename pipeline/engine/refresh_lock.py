"""One refresh of a lake at a time: a lock that a dead process cannot hold, and beside it who holds it since when."""

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
    """Who holds the lock."""

    owner: str
    pid: int
    since: dt.datetime

    @classmethod
    def this_process(cls) -> "Holder":
        """The process that asks."""
        return cls(owner=f"{_user()}@{socket.gethostname()}", pid=os.getpid(), since=dt.datetime.now(dt.UTC))

    def describe(self) -> str:
        """ "pid 4021 of ada@host, for 12 minutes"; a clock that went back counts as 0."""
        return f"pid {self.pid} of {self.owner}, for {say_age(dt.datetime.now(dt.UTC) - self.since)}"


@contextmanager
def only_one(lake: Lake, progress: Progress) -> Iterator[None]:
    """Hold the lake's refresh lock; one whose process died is free again, and that is said.

    Raises `RetryLater` with who holds it, `LakeError` where the lake cannot be written. On object storage there is
    none: there the commits of two refreshes exclude each other.
    """
    if "://" in lake.root:
        yield
        return
    check_folder(lake.root)
    path = Path(lake.root) / "refresh.lock"
    holder = path.with_name("refresh.holder.json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=0)
        lock.acquire()
        if left := _read(holder):
            progress.say(f"The lock of an earlier refresh ({left.describe()}) was left behind: taken over.")
        holder.write_text(Holder.this_process().model_dump_json(), encoding="utf-8")
    except Timeout:
        by = f" ({found.describe()})" if (found := _read(holder)) else ""
        raise RetryLater(f"Another refresh of {lake.root} is running{by}: try again when it has finished.") from None
    except OSError as error:
        raise LakeError(
            f"The lake {lake.root} cannot be written ({error.strerror or error}): free space, fix its permissions or "
            "name another folder with --lake."
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # left behind, it is taken over
            holder.unlink(missing_ok=True)
        lock.release()


def _user() -> str:
    """The name of the user who asks, or the number of one without a name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # python before 3.13, and from then on
        return str(os.getuid())


def _read(holder: Path) -> Holder | None:
    """Who wrote the file; None where there is none, or half of one."""
    try:
        return Holder.model_validate_json(holder.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
