"""The environment of the tests: variables of the developer's shell, and the signal that ends a run.

Imports only the standard library: `tests/conftest.py` calls it before importing anything that reads such variables.
"""

import re
import signal
from collections.abc import MutableMapping

THEIRS = re.compile(
    r"LATENTLAKE_(?!TEST_)\w+"  # settings; LATENTLAKE_TEST_... are for the tests themselves
    r"|STREAMLIT_\w+"
    r"|FORCE_COLOR|NO_COLOR|CLICOLOR(_FORCE)?|PY_COLORS|PYTHON_COLORS|GITHUB_ACTIONS"  # typer uses colours there
    r"|COLUMNS|LINES|TERMINAL_WIDTH|TTY_COMPATIBLE|TTY_INTERACTIVE|_?TYPER_\w+"
)


def end_in_order() -> None:
    """Make SIGTERM end a run like Ctrl+C, so that fixtures stop the servers they started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def forget_theirs(variables: MutableMapping[str, str]) -> list[str]:
    """Remove the variables that would change what commands do or print; returns their names."""
    names = sorted(name for name in variables if THEIRS.fullmatch(name))
    for name in names:
        del variables[name]
    return names
