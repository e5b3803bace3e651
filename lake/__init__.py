"""The lake: table contracts, publish protocol and the queries behind the pages. Imports neither torch nor streamlit."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lake.storage.store import Lake


def open(root: str | os.PathLike[str]) -> "Lake":
    """Open the lake at `root`, a folder or an object-store URL; `.run("latest").scan(table)` is a polars LazyFrame.

    Raises `UserError` if `root` cannot be the root of a lake.
    """
    from lake.storage.places import parse_root
    from lake.storage.store import Lake  # deferred: the command checks Python and the system before it imports packages

    return Lake(parse_root(root))
