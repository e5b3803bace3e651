"""Run the command `latentlake` in this process or in its own."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from unittest import mock

import structlog

from pipeline.cli import app
from pipeline.commands import outcome
from tests.support.paths import REPOSITORY

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def latentlake(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command with these arguments and environment variables; returns its exit code and output.

    It runs in this process, including its exit handling; `tests/desk` starts it like a user. Not for `serve`, which
    replaces its process.
    """
    out, err = io.StringIO(), io.StringIO()
    with _as_a_process([*arguments], environment, out, err):
        try:
            outcome.run(app)
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(["latentlake", *arguments], code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _as_a_process(
    arguments: list[str], environment: dict[str, str], out: io.StringIO, err: io.StringIO
) -> Iterator[None]:
    """Give the command its own process-wide state, and restore that of this process afterwards."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    reports = [*outcome.REPORTS]
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", ["latentlake", *arguments]),
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", err),
        contextlib.chdir(REPOSITORY),
    ):
        try:
            yield
        finally:
            structlog.reset_defaults()
            outcome.REPORTS[:] = reports
            for number, handler in handlers.items():
                signal.signal(number, handler)


def latentlake_process(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in its own process."""
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
