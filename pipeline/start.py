"""The command `latentlake`, from its first moment: what stops it before it is imported is one sentence too."""

from __future__ import annotations

import os
import sys

from pipeline.commands import platforms


def main() -> None:
    """Run the command if this platform is supported, with UTF-8 file names whatever the locale is."""
    platforms.stop_elsewhere()
    from pipeline.engine import interruptions  # uses signals that other systems lack

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
    """Restart in Python's UTF-8 mode if the locale cannot represent all file names."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONUTF8": "1"})
