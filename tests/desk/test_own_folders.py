"""A person's own `lake.py`, `pipeline/`, `pages/` and `train.py` where they work: ours are found, theirs never run."""

import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.processes.python import OWN, executed, run, run_python, write_own
from tests.support.servers.server import serve_from

COMMAND = Path(sys.executable).parent / "latentlake"
READ = 'import latentlake, lake.query.queries, lake.storage.store; print(latentlake.open("nothing"))'
REFRESH = 'import latentlake\ntry: latentlake.refresh("none.toml")\nexcept latentlake.UserError as error: print(error)'


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    write_own(tmp_path, *OWN, "train.py")
    return tmp_path


def test_a_script_beside_them_reads_a_lake(desk: Path) -> None:
    (desk / "read.py").write_text(READ)
    done = run_python("read.py", folder=desk)
    assert done.stdout == "<Lake nothing: no published run yet>\n", done.stderr
    assert executed(desk) == []


def test_an_interpreter_beside_them_refreshes(desk: Path) -> None:
    done = run_python("-c", REFRESH, folder=desk)
    assert "The settings file none.toml does not exist" in done.stdout, done.stderr
    assert executed(desk) == []


def test_the_command_and_the_pipeline_as_a_module_do_not_see_them(desk: Path) -> None:
    (desk / "pipeline" / "__init__.py").unlink()
    for command in ([str(COMMAND)], [sys.executable, "-m", "pipeline.cli"]):
        done = run(*command, "status", "--lake", "nothing", folder=desk)
        assert done.returncode == 1 and "has no published run yet" in done.stderr, done.stderr
    assert executed(desk) == []


@pytest.mark.long
@pytest.mark.browser
def test_pages_served_beside_them_are_ours(desk: Path, tiny_lake: str, opened: Any) -> None:
    with serve_from(desk, f"--lake={tiny_lake}", command=[str(COMMAND)]) as address:
        expect(opened(f"{address}/samples").locator("h1")).to_have_text("Samples")
    assert executed(desk) == []


def test_folders_of_data_disturb_nothing(tmp_path: Path) -> None:
    for name in ("lake", "pipeline", "pages"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.csv").write_text("a\n1\n")
    done = run_python("-c", READ, folder=tmp_path)
    assert done.stdout == "<Lake nothing: no published run yet>\n", done.stderr


def test_one_that_was_imported_before_is_named(desk: Path) -> None:
    theirs = run_python("-c", "import lake\nimport latentlake", folder=desk)
    last = theirs.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {desk / 'lake.py'} is imported as 'lake'") and "rename it" in last
    theirs = run_python("-c", f"import pipeline\n{REFRESH}", folder=desk)
    assert theirs.stdout.startswith(f"{desk / 'pipeline'} is imported as 'pipeline'"), theirs.stderr
