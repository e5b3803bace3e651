"""Run Python like a user: in a folder with images, and with files that have the names of our modules."""

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
"""Our code behind the working folder on Python's path, as an installation has it, and settings that make it fast."""
OWN = (
    "lake.py",
    "pipeline/__init__.py",
    "pages/__init__.py",
    "pages/one.py",
    "streamlit_app.py",
    "umap.py",
    "numba.py",
)
"""Files of a user, under names that we or packages import."""


def write_photos(folder: Path) -> Path:
    """Write `photos`, a folder of drawn images by class, into the folder."""
    write_folder(folder / "photos", draw_files(120))
    return folder


def write_own(folder: Path, *names: str) -> None:
    """Write files of these names into the folder that leave a trace when executed."""
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(folder / 'executed')!r}, 'a').write(__file__ + '\\n')\n")


def executed(folder: Path) -> list[str]:
    """The files that have been executed."""
    trace = folder / "executed"
    return trace.read_text().splitlines() if trace.exists() else []


def run(*command: str, folder: Path, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command in the folder; `text` is its input."""
    return subprocess.run(
        command, cwd=folder, env=os.environ | VARIABLES, input=text, capture_output=True, text=True, check=False
    )


def run_python(*arguments: str, folder: Path, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run Python in the folder; `text` is its input."""
    return run(sys.executable, *arguments, folder=folder, text=text)
