"""What a developer's shell says does not change what the tests see."""

import os
import subprocess
import sys

from tests.support.paths import REPOSITORY
from tests.support.surroundings import forget_theirs

THEIRS = {
    "LATENTLAKE_LAKE": "/elsewhere",
    "LATENTLAKE_READ_ONLY": "1",
    "STREAMLIT_SERVER_BASE_URL_PATH": "x",
    "FORCE_COLOR": "1",
    "NO_COLOR": "1",
    "CLICOLOR": "1",
    "CLICOLOR_FORCE": "1",
    "PY_COLORS": "1",
    "COLUMNS": "40",
    "LINES": "5",
    "TTY_INTERACTIVE": "1",
}
KEPT = {"LATENTLAKE_TEST_LAKE": "/lake", "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS_OF": "x", "TZ": "UTC"}


def test_what_would_change_commands_is_forgotten_and_nothing_else() -> None:
    variables = THEIRS | KEPT
    assert forget_theirs(variables) == sorted(THEIRS)
    assert variables == KEPT


def test_it_is_forgotten_before_anything_that_reads_it_is_imported() -> None:
    """Where `tests/conftest.py` imports what reads them is told by the modules that there are by then."""
    program = (
        "import os, sys\n"
        "from tests.support import surroundings\n"
        "def stop(variables):\n"
        "    assert variables is os.environ\n"
        "    raise SystemExit(' '.join({'polars', 'pytest', 'rich', 'streamlit', 'typer'} & {*sys.modules}))\n"
        "surroundings.forget_theirs = stop\n"
        "import tests.conftest"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr.strip()) == (1, "")


def test_these_tests_have_forgotten_theirs() -> None:
    assert forget_theirs({**os.environ}) == []
