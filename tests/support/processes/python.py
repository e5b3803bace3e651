"""Python as a person at a desk runs it: in a folder with images, and with files that have names of ours."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.data.own_data import QUICK, draw_files, write_folder
from tests.support.paths import REPOSITORY

TINY = {"model": "test_resnet", "phases": '[{"resolution": 16, "epochs": 2}]'} | {
    name: value.strip('"') for name, _, value in (line.partition(" = ") for line in QUICK.splitlines())
}
VARIABLES = {"PYTHONPATH": str(REPOSITORY)} | {f"LATENTLAKE_{name.upper()}": value for name, value in TINY.items()}
"""Our code where an installation has it, behind the folder on python's path, and settings under which it is quick."""
OWN = (
    "lake.py",
    "pipeline/__init__.py",
    "pages/__init__.py",
    "pages/one.py",
    "streamlit_app.py",
    "umap.py",
    "numba.py",
)
"""Files of a person's own, under names that we or packages import."""


def write_photos(folder: Path) -> Path:
    """Put `photos`, a folder of drawn images by class, into the folder."""
    write_folder(folder / "photos", draw_files(120))
    return folder


def write_own(folder: Path, *names: str) -> None:
    """Put files of these names into the folder that leave a trace where they are executed."""
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(folder / 'executed')!r}, 'a').write(__file__ + '\\n')\n")


def executed(folder: Path) -> list[str]:
    """Which of them have been executed."""
    trace = folder / "executed"
    return trace.read_text().splitlines() if trace.exists() else []


def run(*command: str, folder: Path, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command in the folder; `text` is its input."""
    return subprocess.run(
        command, cwd=folder, env=os.environ | VARIABLES, input=text, capture_output=True, text=True, check=False
    )


def run_python(*arguments: str, folder: Path, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    """The same of python."""
    return run(sys.executable, *arguments, folder=folder, text=text)
