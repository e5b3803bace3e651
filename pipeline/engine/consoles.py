"""Width of console output."""

import os
from contextlib import suppress

from rich.console import Console

NARROWEST, WIDE = 40, 1000
"""Minimum plausible value of `COLUMNS`, and the width used for files and pipes so that nothing is truncated."""


def settle_width() -> None:
    """Drop a `COLUMNS` that is too small to read anything: with 0 columns, rich prints nothing at all."""
    with suppress(KeyError, ValueError):
        if int(os.environ["COLUMNS"]) < NARROWEST:
            del os.environ["COLUMNS"]


def open_console() -> Console:
    """A console on stdout as wide as the terminal, or wide enough for any line if stdout is not a terminal."""
    console = Console()
    if not console.file.isatty():
        console.width = WIDE
    return console
