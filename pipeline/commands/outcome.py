"""Outcome of a command: errors as one sentence and an exit code; `--json` prints an object, `--debug` a traceback."""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import SIGINT, Signals
from typing import NoReturn, TextIO

import polars as pl
from rich.console import Console
from rich.markup import escape

from lake.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, Unprinted, UserError
from pipeline.commands import failures
from pipeline.commands.refresh import summarize_failure, to_json
from pipeline.engine import consoles, interruptions, log_setup

REPORTS: list[Path] = []
"""Folders in which reports of unexpected errors are written, before the temporary folder."""


class Interrupted(UserError):
    """Interrupted by Ctrl+C or another signal; the exit code is that of a process killed by the signal."""

    status = "interrupted"

    def __init__(self, signal: Signals) -> None:
        by = "" if signal == SIGINT else f" by {signal.name}"
        super().__init__(f"Interrupted{by}: finished stages are kept. Run the same command again to continue.")
        self.exit_code = 128 + signal


class Ended(UserError):
    """The command ended with a message that has already been printed."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code, self.status = code, "wrong usage" if code == EXIT_USAGE else "failed"


def run(command: Callable[[], object]) -> NoReturn:
    """Run the command and exit the process."""
    sys.stderr = log_setup.unfailing(sys.stderr or _nowhere())
    sys.stdout = log_setup.unprinted_once(sys.stdout or _nowhere())
    interruptions.watch()
    consoles.settle_width()
    debug, as_json = "--debug" in sys.argv, "--json" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    error = _find_error(command, debug=debug)
    if error and as_json and not isinstance(error, Unprinted):
        with suppress(Unprinted):
            print(to_json(summarize_failure(error)), flush=True)  # noqa: T201
    interruptions.ignore()
    raise SystemExit(EXIT_OK if error is None else error.exit_code)


def _find_error(command: Callable[[], object], *, debug: bool) -> UserError | None:
    """The error of the command, already printed to the user; None on success."""
    try:
        _call(command)
    except Unprinted as error:
        return None if error.reader_left else _tell(error, debug=debug)
    except Ended as error:
        return error
    except UserError as error:
        return _tell(error, debug=debug)
    except KeyboardInterrupt:
        interruptions.ignore()
        return _tell(Interrupted(interruptions.find_signal()), debug=False)
    except (Exception, pl.exceptions.PanicException) as error:
        return _tell(failures.explain(error, REPORTS), debug=debug)
    return None


def _call(command: Callable[[], object]) -> None:
    try:
        command()
    except SystemExit as ended:  # how typer exits
        if ended.code == EXIT_INTERRUPTED:
            raise KeyboardInterrupt from None
        if ended.code:
            code = ended.code if isinstance(ended.code, int) else EXIT_FAILED
            raise Ended(code, str(getattr(ended.__context__, "message", "see above"))) from None
    sys.stdout.flush()


def _tell(error: UserError, *, debug: bool) -> UserError:
    if debug:
        traceback.print_exc()
    Console(stderr=True).print(f"[bold red]latentlake:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
    return error


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")
