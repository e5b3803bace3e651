"""Starts Streamlit on the app, with the settings beside this file and those of the command line: run by its path.

Streamlit would also read `.streamlit/config.toml` of the folder where a person stands and of their home, which is about
other apps. `.streamlit/secrets.toml` is read there.
"""

import sys
from pathlib import Path

from streamlit import config
from streamlit.web import cli

SETTINGS = Path(__file__).with_name("streamlit.toml")
SCRIPT = Path(__file__).parents[2] / "streamlit_app.py"


def main(options: list[str]) -> None:
    """Serve until the process is told to stop; `options` are flags of `streamlit run`."""
    find_files = config.get_config_files
    config.get_config_files = lambda name: [str(SETTINGS)] if name == "config.toml" else find_files(name)
    cli.main(["run", str(SCRIPT), *options], prog_name="streamlit")


if __name__ == "__main__":
    main(sys.argv[1:])
