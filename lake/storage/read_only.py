"""A lake that rejects writes from this process, whatever the permissions of its files."""

from typing import Any, NoReturn

from lake.errors import LakeError
from lake.storage.store import Lake


class ReadOnlyLake(Lake):
    """A `Lake` that can only be read; staging, publishing, adding rows and reviewing raise `LakeError`."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise LakeError("This lake is served read-only: nothing can be written to it from here.")

    _write = append_once = open_to_write = _refuse
