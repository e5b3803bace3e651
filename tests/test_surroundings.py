"""What a shell says does not change what the tests see, and a run that is ended ends what it has started."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.paths import REPOSITORY
from tests.support.suite.surroundings import forget_theirs

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
        "from tests.support.suite import surroundings\n"
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


TERMINATED = """
import os, signal, pytest
from tests.support.suite.surroundings import end_in_order
end_in_order()

@pytest.fixture
def server():
    yield
    open("ended", "w").close()

def test_one(server):
    os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_run_that_is_terminated_ends_what_it_has_started(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(TERMINATED)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_one.py"]
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, check=False, timeout=60)
    assert (done.returncode, (tmp_path / "ended").exists()) == (pytest.ExitCode.INTERRUPTED, True)


def test_settings_of_somebody_who_works_here_are_named_before_any_test(tmp_path: Path, pytestconfig: Any) -> None:
    (tmp_path / "latentlake.toml").touch()
    (conftest,) = (one for one in pytestconfig.pluginmanager.get_plugins() if getattr(one, "THEIRS", None) is not None)
    with pytest.raises(pytest.UsageError, match=r"latentlake\.toml would be read by every command"):
        conftest.pytest_configure(SimpleNamespace(rootpath=tmp_path))


def test_these_tests_have_forgotten_theirs() -> None:
    assert forget_theirs({**os.environ}) == []
