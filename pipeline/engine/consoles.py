"""How wide what a command prints may be."""

import os
from contextlib import suppress

from rich.console import Console

NARROWEST, WIDE = 40, 1000
"""Columns below which `COLUMNS` is a mistake, and those of a file or pipe, where nothing is cut."""


def settle_width() -> None:
    """Forget a `COLUMNS` in which nothing could be read: rich prints nothing at all into 0 columns."""
    with suppress(KeyError, ValueError):
        if int(os.environ["COLUMNS"]) < NARROWEST:
            del os.environ["COLUMNS"]


def open_console() -> Console:
    """The console of stdout: as wide as the terminal, and without one as wide as any line or table is."""
    console = Console()
    if not console.file.isatty():
        console.width = WIDE
    return console
