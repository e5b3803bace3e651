"""Starts Streamlit on the app, with the settings beside this file and those of the command line: run by its path.

Streamlit would also read `.streamlit/config.toml` of the folder where a person stands and of their home, which is about
other apps. `.streamlit/secrets.toml` is read there.
"""

import logging
import signal
import sys
from pathlib import Path
from types import FrameType

INTERRUPTED = 130
SETTINGS = Path(__file__).with_name("streamlit.toml")
SCRIPT = Path(__file__).parents[3] / "streamlit_app.py"


def main(options: list[str]) -> None:
    """Serve until the process is told to stop; `options` are flags of `streamlit run`."""
    signal.signal(signal.SIGINT, _stop)
    sys.path.insert(0, str(SCRIPT.parent))  # where `pages` is not installed
    from pages.ui.internals import streamlit_internals  # which takes a second, in which Ctrl+C is no mistake either

    streamlit_internals.serve(SCRIPT, options, settings=SETTINGS)


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """What Ctrl+C does before and after the server, which it tells to finish what it is answering."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable()  # of what was under way, where it was pressed twice
    sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main(sys.argv[1:])
