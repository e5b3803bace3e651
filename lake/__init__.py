"""The lake: contracts, publish protocol and the questions pages ask. Imports neither torch nor streamlit."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lake.storage.store import Lake


def open(root: str | os.PathLike[str]) -> "Lake":
    """The lake at a root, a folder or an object-store URL; `.run("latest").scan(table)` is a polars LazyFrame.

    Raises `UserError` where the root cannot be one.
    """
    from lake.storage.places import named_root
    from lake.storage.store import Lake  # the command looks at Python and the system before packages are imported

    return Lake(named_root(root))
