"""From python, as README shows it: in a script without a `__main__` guard, a notebook, a thread, an interpreter."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from lake.storage.store import Lake
from tests.support.paths import REPOSITORY
from tests.support.processes.python import OWN, VARIABLES, executed, run_python, write_own, write_photos
from tests.support.processes.terminal import run_on_terminal

(README,) = re.findall(r"```python\n(import latentlake\n.*?)```", (REPOSITORY / "README.md").read_text(), flags=re.S)
SCRIPT = f"""
import os, signal, sys
print("script begins")
state = lambda: (os.getcwd(), sys.stderr, signal.getsignal(signal.SIGINT), "NUMBA_CACHE_DIR" in os.environ)
before = state()

{README}
assert state() == before
"""
FIT = """
import threading
import numpy as np
from pipeline.measure.umap_process import fit_in_process

print("script begins")
points = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
fit = lambda: print(fit_in_process(points, None, neighbors=5, min_dist=0.1, seed=0).shape)
{how}
"""
IN_A_THREAD = "worker = threading.Thread(target=fit)\nworker.start()\nworker.join()"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, and with files of a person's own that have names of ours."""
    folder = write_photos(tmp_path_factory.mktemp("desk"))
    write_own(folder, *OWN)
    (folder / "train.py").write_text(SCRIPT)
    return folder


@pytest.fixture(scope="module")
def scripted(desk: Path) -> "subprocess.CompletedProcess[str]":
    """README's python as a script, run once."""
    return run_python("train.py", folder=desk)


def test_a_map_is_fitted_in_a_script_without_a_guard_that_is_run_once(tmp_path: Path) -> None:
    (tmp_path / "fit.py").write_text(FIT.format(how="fit()"))
    done = run_python("fit.py", folder=tmp_path)
    assert done.stdout.splitlines() == ["script begins", "(40, 2)"], done.stderr


@pytest.mark.long
def test_a_script_without_a_guard_publishes_and_is_run_once(
    desk: Path, scripted: "subprocess.CompletedProcess[str]"
) -> None:
    assert scripted.returncode == 0, scripted.stderr
    run = Lake(desk / "data" / "lake").run()
    shown = f"<Run {run.run_id}: photos, 120 samples of 4 classes; published "
    assert scripted.stdout.startswith(f"script begins\n{shown}") and scripted.stdout.count("\n") == 2
    assert executed(desk) == []


@pytest.mark.long
def test_a_notebook_gets_the_same_run(desk: Path, scripted: "subprocess.CompletedProcess[str]") -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in (README, "run")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), desk / "book.ipynb")
    done = run_python("-c", "from nbclient.cli import main; main()", "--inplace", "book.ipynb", folder=desk)
    assert done.returncode == 0, done.stderr
    (shown,) = nbformat.read(desk / "book.ipynb", as_version=4).cells[1].outputs
    assert shown.data["text/plain"] == scripted.stdout.splitlines()[1]
    assert executed(desk) == []


@pytest.mark.long
def test_a_map_is_fitted_in_a_thread_of_a_program_that_is_piped_in(tmp_path: Path) -> None:
    done = run_python(folder=tmp_path, text=FIT.format(how=IN_A_THREAD))
    assert done.stdout.splitlines() == ["script begins", "(40, 2)"], done.stderr


@pytest.mark.long
def test_a_map_is_fitted_in_an_interpreter_on_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "start.py").write_text(FIT.format(how="fit()\nraise SystemExit"))
    environment = VARIABLES | {"PYTHONSTARTUP": "start.py"}
    shown = run_on_terminal([sys.executable, "-i", "-q"], folder=tmp_path, environment=environment)
    assert shown.lines.count("script begins") == 1 and "(40, 2)" in shown.lines, shown.lines
