"""Run a command on a pseudo-terminal, like an interactive user."""

import fcntl
import os
import pty
import re
import signal
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
    """The exit code, and every line that appeared on the screen, including overwritten ones."""

    code: int
    lines: list[str]


def run_on_terminal(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    interrupt_at: str | None = None,
) -> Shown:
    """Run the command in the folder with a terminal as stdin, stdout and stderr, until it ends.

    Once `interrupt_at` appears on the screen, the command and its children receive the signal that Ctrl+C sends.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    variables = {**os.environ, "TERM": "xterm-256color", **(environment or {})}
    process = subprocess.Popen(
        command, cwd=folder, env=variables, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    text = _read_all(ours, process, interrupt_at).decode()
    os.close(ours)
    return Shown(process.wait(), [line.strip() for line in re.split(r"[\r\n]+", CONTROL.sub("", text))])


def _read_all(terminal: int, process: subprocess.Popen[bytes], interrupt_at: str | None) -> bytes:
    """All output to the terminal until its last writer is gone."""
    text, waiting = b"", interrupt_at is not None
    while part := _read(terminal):
        text += part
        if waiting and str(interrupt_at).encode() in text:
            os.killpg(process.pid, signal.SIGINT)
            waiting = False
    return text


def _read(terminal: int) -> bytes:
    """The next bytes; empty if the other end is closed, which Linux reports as an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
