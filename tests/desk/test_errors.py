"""Errors that nobody foresaw, and answers that cannot be printed: a sentence, a file, an exit code, one JSON object."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from streamlit.logger import get_logger

from lake.errors import LakeError, Unforeseen
from lake.storage.damage import reading, writing
from lake.storage.store import Lake
from pages.ui.core import data
from pipeline.commands import failures, platforms
from pipeline.engine.progress import Progress
from pipeline.engine.stage_cache import Workspace
from pipeline.settings import load_settings
from tests.support.paths import REPOSITORY
from tests.support.servers.apps import Open, shown

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
OURS = [
    KeyError("planted"),
    OSError("planted"),
    FileNotFoundError(2, "No such file", "/elsewhere/planted"),
    pl.exceptions.ColumnNotFoundError("planted"),
    pl.exceptions.ComputeError("planted"),
]
PLANTED = """
import sys
from pipeline import cli
from pipeline.commands import refresh as refresh_command
def planted(settings, asked):
    settings.work_dir.mkdir(parents=True)
    raise {error}
refresh_command.run = planted
cli.main()
"""


def run(folder: Path, program: str, *arguments: str, **streams: Any) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY), "AWS_SECRET_ACCESS_KEY": "do-not-tell"}
    command = [sys.executable, "-c", program, *arguments]
    how: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.run(command, cwd=folder, env=variables, text=True, check=False, **how)


def cli(folder: Path, *arguments: str, **streams: Any) -> subprocess.CompletedProcess[str]:
    return run(folder, "from pipeline.start import main; main()", *arguments, **streams)


# --- what nobody foresaw


def test_a_mistake_of_ours_is_a_sentence_with_a_file_that_holds_no_secrets(tmp_path: Path) -> None:
    planted = PLANTED.format(error="KeyError('do-not-tell')")
    done = run(tmp_path, planted, "refresh", "--json", "--set", "work_dir=work", "--lake", "s3://me:password@host/x")
    assert done.returncode == 70, done.stderr
    said = json.loads(done.stdout)
    assert (said["status"], said["exit_code"]) == ("unforeseen error", 70)
    (file,) = (tmp_path / "work").glob("latentlake-error-*.log")
    assert str(file) in done.stderr and str(file) in said["message"] and "Traceback" not in done.stderr
    kept = file.read_text(encoding="utf-8")
    assert "Traceback" in kept and "refresh --json" in kept and sys.version.split()[0] in kept
    assert not [secret for secret in ("do-not-tell", "password") if secret in kept + done.stderr + done.stdout]


def test_debug_shows_the_traceback_of_a_mistake_of_ours(tmp_path: Path) -> None:
    done = run(tmp_path, PLANTED.format(error="KeyError(1)"), "--debug", "refresh", "--json", "--set", "work_dir=work")
    assert done.returncode == 70 and "Traceback" in done.stderr and "KeyError: 1" in done.stderr
    assert json.loads(done.stdout)["exit_code"] == 70


def test_ctrl_c_is_a_sentence_and_one_object(tmp_path: Path) -> None:
    planted = PLANTED.format(error="KeyboardInterrupt")
    done = run(tmp_path, planted, "refresh", "--json", "--set", "work_dir=work")
    assert done.returncode == 130 and "Interrupted: finished stages are kept" in done.stderr
    assert json.loads(done.stdout)["status"] == "interrupted"


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), pytest.param("SIGHUP", 129, marks=pytest.mark.long)])
def test_what_ends_a_service_or_a_terminal_is_a_sentence_and_one_object(name: str, code: int, tmp_path: Path) -> None:
    planted = PLANTED.format(error=f"os.kill(os.getpid(), signal.{name}) or KeyError")
    heard = f"import os, signal; signal.signal(signal.{name}, signal.SIG_DFL)"  # nohup may have it ignored
    done = run(tmp_path, heard + planted, "refresh", "--json", "--set", "work_dir=work")
    assert done.returncode == code and done.stderr.count("\n") == 1
    assert f"Interrupted by {name}: finished stages are kept. Run the same command again to continue." in done.stderr
    said = json.loads(done.stdout)
    assert (said["status"], said["exit_code"]) == ("interrupted", code)


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    planted = PLANTED.format(error="os.kill(os.getpid(), signal.SIGHUP) or KeyError")
    ignored = "import os, signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    assert run(tmp_path, ignored + planted, "refresh", "--set", "work_dir=work").returncode == 70


@pytest.mark.long
def test_ctrl_c_while_the_process_ends_is_not_heard(tmp_path: Path) -> None:
    again = "import atexit, os, signal; atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))"
    planted = again + PLANTED.format(error="KeyboardInterrupt")
    done = run(tmp_path, planted, "refresh", "--set", "work_dir=work")
    assert done.returncode == 130 and done.stderr.count("\n") == 1, done.stderr


def test_wrong_usage_is_one_object_too(tmp_path: Path) -> None:
    done = cli(tmp_path, "refresh", "--json", "--no-such-flag")
    assert done.returncode == 2 and json.loads(done.stdout)["message"] == "No such option: --no-such-flag"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "This machine has run out of memory"),
        (
            ImportError("libtorch_cuda.so: failed to map segment from shared object"),
            "memory has run out or is limited (see ulimit -v), or the packages are on a disk mounted with noexec",
        ),
        (OSError(12, "Cannot allocate memory"), "This machine has run out of memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "This machine has run out of memory",
        ),
        (BrokenProcessPool("terminated abruptly"), "A process of this command was killed"),
        (PermissionError(13, "Permission denied", "/x"), "no permission to write in /x"),
        (OSError(28, "No space left on device", "/x"), "no space left on the disk of /x"),
    ],
)
def test_what_the_machine_lacks_is_said_as_such(error: Exception, sentence: str, tmp_path: Path) -> None:
    told = failures.explain(error, [tmp_path])
    assert sentence in str(told) and not isinstance(told, Unforeseen) and told.exit_code == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
def test_a_mistake_of_ours_in_a_stage_is_not_told_as_a_disk_or_lake_that_fails(
    error: Exception, tmp_path: Path
) -> None:
    def compute(folder: Path) -> dict[str, pl.DataFrame]:
        with reading(str(tmp_path / "lake")), writing(str(tmp_path / "lake")):
            raise error

    workspace = Workspace(tmp_path, load_settings(Path(os.devnull)), Progress(quiet=True))
    with pytest.raises(type(error)) as raised:
        workspace.find("planted", "0", compute)
    assert raised.value is error
    told = failures.explain(raised.value, [tmp_path])
    assert isinstance(told, Unforeseen) and str(tmp_path / "latentlake-error-") in str(told)


def test_a_query_that_is_wrong_is_not_told_as_a_damaged_lake(tiny_lake: str) -> None:
    run = Lake(tiny_lake).run()
    with pytest.raises(pl.exceptions.ColumnNotFoundError), reading(tiny_lake):
        run.scan("predictions").select("planted").collect()


def test_a_disk_that_refuses_is_said_and_not_told_as_damage(tmp_path: Path) -> None:
    denied = PermissionError(13, "Permission denied", str(tmp_path / "runs"))
    with pytest.raises(LakeError, match=r"no permission to read .*Fix this") as raised, reading(str(tmp_path)):
        raise denied
    assert "restore" not in str(raised.value)
    with pytest.raises(LakeError, match=r"cannot be written to \(no permission to write in "), writing(str(tmp_path)):
        raise denied
    with pytest.raises(LakeError, match=r"\(no space left on the disk of "), writing(str(tmp_path)):
        raise OSError("Generic LocalFileSystem error: No space left on device (os error 28)")


@pytest.fixture
def server_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the server writes to its log."""
    get_logger("latentlake").addHandler(caplog.handler)
    yield caplog
    get_logger("latentlake").removeHandler(caplog.handler)


@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
def test_a_mistake_of_ours_on_a_page_is_a_sentence_with_a_reference(
    error: Exception,
    tiny_lake: str,
    open_page: Open,
    server_log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def planted(*_: object) -> None:
        raise error

    monkeypatch.setattr(data, "headline", planted)
    app = open_page(tiny_lake, "overview")
    assert not app.exception
    assert "failed with an unexpected error" in app.error[0].value and "restore" not in shown(app)
    reference = app.error[0].value.split()[-1].rstrip(".")
    (record,) = [record for record in server_log.records if reference in record.getMessage()]
    assert record.exc_info is not None and record.exc_info[1] is error


# --- answers that cannot be printed


@needs_full
def test_an_answer_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with FULL.open("w") as full:
        done = cli(tmp_path, "config", stdout=full)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "cannot be written (No space left on device)" in done.stderr


@pytest.mark.parametrize("arguments", [["config"], ["runs"]])
def test_a_reader_that_has_read_enough_is_no_error(arguments: list[str], tiny_lake: str, tmp_path: Path) -> None:
    theirs, ours = os.pipe()
    os.close(theirs)
    with os.fdopen(ours, "w") as unread:
        done = cli(tmp_path, *arguments, stdout=unread)
    assert (done.returncode, done.stderr) == (0, "")


# --- platforms


@pytest.mark.parametrize(
    ("system", "version", "sentence"),
    [
        ("Linux", (3, 11), None),
        ("Darwin", (3, 14), None),
        ("Windows", (3, 12), "install it in WSL"),
        ("Linux", (3, 15), "needs Python 3.11 to 3.14"),
        ("Linux", (3, 10), "needs Python 3.11 to 3.14"),
    ],
)
def test_other_platforms_are_told_where_it_runs(
    system: str, version: tuple[int, int], sentence: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    problem = platforms.find_problem()
    assert problem is None if sentence is None else sentence in str(problem)


def test_elsewhere_the_command_stops_before_anything_is_imported(tmp_path: Path) -> None:
    program = "import sys, platform; platform.system = lambda: 'Windows'; sys.modules['polars'] = None\n"
    done = run(tmp_path, program + "from pipeline.start import main; main()", "refresh", "--json")
    assert done.returncode == 1 and "install it in WSL" in done.stderr and "Traceback" not in done.stderr
    assert json.loads(done.stdout)["exit_code"] == 1


def test_an_installation_that_is_not_complete_is_a_sentence(tmp_path: Path) -> None:
    program = "import sys; sys.modules['polars'] = None\nfrom pipeline.start import main; main()"
    done = run(tmp_path, program, "runs")
    assert done.returncode == 1 and "is not fully installed" in done.stderr and "Traceback" not in done.stderr
