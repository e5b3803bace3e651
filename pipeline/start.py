"""The command `latentlake`, from its first moment: what stops it before it is imported is one sentence too."""

from __future__ import annotations

import os
import sys

from pipeline.commands import platforms


def main() -> None:
    """Run the command where it can run, with UTF-8 for the names of files whatever the locale is."""
    platforms.stop_elsewhere()
    from pipeline.engine import interruptions  # of signals that other systems do not have

    interruptions.watch()
    _use_utf8()
    try:
        from pipeline.cli import main as run
    except KeyboardInterrupt:
        platforms.stop("interrupted", 128 + interruptions.find_signal(), "Interrupted.")
    except ImportError as error:
        platforms.stop("failed", 1, f"latentlake is not fully installed ({error}): pip install it again.")
    run()


def _use_utf8() -> None:
    """Start again in Python's UTF-8 mode where the locale cannot hold all names of files."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONUTF8": "1"})
