"""A whole refresh by the command: on a terminal, and where what it tells cannot be written."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lake.storage.store import Lake
from tests.support.data.own_data import QUICK, draw_files, write_folder
from tests.support.paths import REPOSITORY
from tests.support.processes.terminal import Shown, run_on_terminal

UNSHARE = ["unshare", "--map-root-user", "--net"]
"""Linux's way to take the network from a command, loopback included."""
COMMAND = [sys.executable, "-m", "pipeline.cli", "refresh", "--config", "shapes.toml"]
FULL = Path("/dev/full")
PYTHON_PATH = {"PYTHONPATH": str(REPOSITORY)}
SETTINGS = f"""
{QUICK}
model = "test_resnet"
lake = "lake"
work_dir = "work"
phases = [{{ resolution = 16, epochs = 2 }}]
[dataset]
source = "[shapes]"
name = "[/shapes] [red]"
size = 32
"""
BAR = re.compile(r"^(?P<name>[a-z ]+?) +[━╸╺ ]+ +(?P<done>\d+)/(?P<total>\d+)")


@dataclass(frozen=True)
class Desk:
    """A folder with images and settings, and what two refreshes in it showed on a terminal.

    The first was interrupted, the second had no network where that can be taken from it.
    """

    folder: Path
    interrupted: Shown
    offline: bool
    shown: Shown


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk") / "My Projects ü #1"
    write_folder(folder / "[shapes]", draw_files(240))
    (folder / "shapes.toml").write_text(SETTINGS)
    interrupted = run_on_terminal(COMMAND, folder=folder, environment=PYTHON_PATH, interrupt_at="train ")
    offline = _can_unshare()
    command = [*UNSHARE, *COMMAND] if offline else COMMAND
    yield Desk(folder, interrupted, offline, run_on_terminal(command, folder=folder, environment=PYTHON_PATH))


def _can_unshare() -> bool:
    found = shutil.which(UNSHARE[0])
    return found is not None and subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


def runs(desk: Desk) -> int:
    return len(Lake(desk.folder / "lake").runs())


def refresh_again(desk: Desk, *arguments: str, **streams: Any) -> int:
    """The exit code of another refresh, of which nobody sees what it tells."""
    done = subprocess.run([*COMMAND, *arguments], cwd=desk.folder, env=os.environ | PYTHON_PATH, check=False, **streams)
    return done.returncode


def test_a_refresh_on_a_terminal_is_published(desk: Desk) -> None:
    assert desk.shown.code == 0, desk.shown.lines[-20:]
    run = Lake(desk.folder / "lake").run()
    assert run.verify() and run.facts["dataset_name"] == "[/shapes] [red]"
    assert f"Published {run.run_id}." in desk.shown.lines
    assert run.run_id in desk.shown.lines[-2:]


def test_a_refresh_needs_no_network(desk: Desk) -> None:
    if not desk.offline:
        pytest.skip("this system does not let a command be run without its network")
    assert desk.shown.code == 0, desk.shown.lines[-20:]


def test_ctrl_c_says_how_to_go_on(desk: Desk) -> None:
    assert desk.interrupted.code == 130, desk.interrupted.lines[-20:]
    said = "latentlake: Interrupted: finished stages are kept. Run the same command again to continue."
    assert desk.interrupted.lines[-2:] == [said, ""]
    assert not any("Traceback" in line for line in desk.interrupted.lines)


def test_every_bar_ends_where_it_said_it_would(desk: Desk) -> None:
    bars: dict[str, list[tuple[int, int]]] = {}
    for found in map(BAR.match, desk.shown.lines):
        if found:
            bars.setdefault(found["name"].strip(), []).append((int(found["done"]), int(found["total"])))
    assert {"images", "train", "score", "findings", "write"} <= bars.keys()
    assert {name: steps[-1] for name, steps in bars.items() if steps[-1][0] != steps[-1][1]} == {}
    assert all(done <= total for steps in bars.values() for done, total in steps)


def test_names_that_look_like_markup_are_shown_as_they_are(desk: Desk) -> None:
    assert any(line.startswith("[/shapes] [red]: 240 of 240 images of 4 classes") for line in desk.shown.lines)


@pytest.mark.long
@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_refresh_whose_log_is_on_a_full_disk_is_published(desk: Desk) -> None:
    before = runs(desk)
    with FULL.open("w") as full:
        assert refresh_again(desk, "--force", stdout=subprocess.DEVNULL, stderr=full) == 0
    assert runs(desk) == before + 1


@pytest.mark.long
def test_a_refresh_whose_log_nobody_reads_any_more_ends_well(desk: Desk) -> None:
    theirs, ours = os.pipe()
    os.close(theirs)
    with os.fdopen(ours, "w") as unread:
        assert refresh_again(desk, stdout=subprocess.DEVNULL, stderr=unread) == 0


@pytest.mark.long
def test_a_refresh_without_a_stream_for_its_log_ends_well(desk: Desk) -> None:
    shell = ["sh", "-c", '"$@" 2>&-', "sh", *COMMAND]
    done = subprocess.run(shell, cwd=desk.folder, env=os.environ | PYTHON_PATH, stdout=subprocess.PIPE, check=False)
    assert done.returncode == 0
    assert done.stdout.decode().strip() == Lake(desk.folder / "lake").run().run_id
