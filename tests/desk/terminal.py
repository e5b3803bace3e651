"""A command on a pseudo-terminal, as a person at a desk runs it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROWS, COLUMNS = 40, 120
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Shown:
    """The exit code, and every line that was on the screen, those that were written over included."""

    code: int
    lines: list[str]


def run_on_terminal(command: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None = None) -> Shown:
    """Run the command in the folder with a terminal for input, output and errors, until it ends."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    variables = os.environ | {"TERM": "xterm-256color"} | (environment or {})
    process = subprocess.Popen(
        command, cwd=folder, env=variables, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    text = _read_all(ours).decode()
    os.close(ours)
    return Shown(process.wait(), [line.strip() for line in re.split(r"[\r\n]+", CONTROL.sub("", text))])


def _read_all(terminal: int) -> bytes:
    """What is written to the terminal until its last writer is gone."""
    parts = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # how Linux says that nobody holds the other end any more
            return b"".join(parts)
        if not part:  # how macOS says it
            return b"".join(parts)
        parts.append(part)
