"""Start Streamlit on the app, with the settings beside this file and those of the command line; run as a script.

Streamlit would also read `.streamlit/config.toml` in the working folder and in the home folder, which may be meant for
other apps. `.streamlit/secrets.toml` is still read from there.
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
    sys.path.insert(0, str(SCRIPT.parent))  # if `pages` is not installed
    from pages.ui.internals import streamlit_internals  # takes a second, during which Ctrl+C must work too

    streamlit_internals.serve(SCRIPT, options, settings=SETTINGS)


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """Handle Ctrl+C before and after the server, which handles it itself by finishing open requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable()  # of unfinished work, if it was pressed twice
    sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main(sys.argv[1:])
