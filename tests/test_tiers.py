"""Which tests a change reaches, which of the long ones run, and what is said of their cost, on small repositories."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY
from tests.support.suite import reach
from tests.support.suite.reach import FAR, NOT_REACHED, Changes, Graph, find_changes
from tests.support.suite.tiers import Choice

AUTHOR = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b.c",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b.c",
}
TREE = {
    "streamlit_app.py": "from pages.ui.frame.frame import show",
    "lake/__init__.py": "",
    "lake/storage/store.py": "",
    "lake/told.py": "",
    "pages/__init__.py": "",
    "pages/one.py": "from lake.storage.store import Lake",
    "pages/other.py": "",
    "pages/report/document.py": "",
    "pages/report/templates/report.html": "",
    "pages/ui/frame/frame.py": "from pages.ui.session import navigation",
    "pages/ui/frame/frame.css": "",
    "pages/ui/session/navigation.py": "",
    "pipeline/cli.py": "def run():\n from pipeline.commands import serve\n from pipeline.model.train import train",
    "pipeline/commands/serve.py": "",
    "pipeline/start.py": "def main():\n    from pipeline.cli import main",
    "pipeline/model/train.py": "import lake.storage.store",
    "tests/conftest.py": "",
    "tests/support/processes/commands.py": "",
    "tests/lake/test_store.py": "from lake.storage.store import Lake",
    "tests/pages/test_one.py": "def test_one(open_page): open_page('one')",
    "tests/pages/test_every.py": "from pages.ui.session.navigation import ENTRIES\ndef test_every(open_page): 'one'",
    "tests/desk/test_served.py": "from tests.support.processes.commands import latentlake\nlatentlake('serve')",
    "tests/pages/test_report.py": "from pages.report import document",
    "tests/pipeline/test_cli.py": "from tests.support.processes.commands import latentlake",
    "tests/pipeline/test_text.py": "PROGRAM = 'import pipeline.model.train'",
    "tests/pipeline/test_train.py": "from pipeline.model.train import train",
}
OLD, NEW = "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"
SINCE = "2025-01-01"


def git(root: Path, *arguments: str, date: str = NEW) -> None:
    """Run git on the repository, whatever repository or settings the caller has."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", *arguments], cwd=root, env=kept | AUTHOR | dates, check=True, capture_output=True)


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def commit(root: Path, date: str = NEW) -> None:
    git(root, "add", "--all", date=date)
    git(root, "commit", "--message", "a change", date=date)


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with an old commit of a small app, its pipeline and their tests."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    root = tmp_path / "planted"
    write(root, TREE)
    git(root, "init", "--initial-branch", "main")
    commit(root, OLD)
    return root


def reached(root: Path) -> set[str]:
    """Names of the planted files of tests that reach what has changed."""
    graph = Graph(root, find_changes(root, SINCE).files)
    tests = [file.relative_to(root).as_posix() for file in root.glob("tests/*/test_*.py")]
    return {Path(test).stem.removeprefix("test_") for test in tests if graph.nearest(test)}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("pages/one.py", {"one", "every", "served"}),
        ("pages/other.py", {"every", "served"}),
        ("pages/overview.py", {"one", "every", "served"}),
        ("pages/ui/frame/frame.css", {"one", "every", "served"}),
        ("pages/report/templates/report.html", {"report"}),
        ("pipeline/model/train.py", {"cli", "served", "text", "train"}),
        ("pipeline/start.py", {"cli", "served"}),
        ("lake/storage/store.py", {"one", "every", "served", "cli", "text", "train", "store"}),
        ("lake/__init__.py", {"one", "every", "served", "cli", "text", "train", "store"}),
        ("lake/told.py", set()),
        ("tests/support/processes/commands.py", {"cli", "served"}),
        ("tests/pages/test_one.py", {"one"}),
        ("README.md", set()),
        ("pages/README.md", set()),
        ("docs/picture.png", set()),
        ("requirements.lock", {"one", "every", "served", "report", "cli", "text", "train", "store"}),
        ("tests/conftest.py", {"one", "every", "served", "report", "cli", "text", "train", "store"}),
    ],
)
def test_a_change_reaches_what_imports_or_starts_the_file(planted: Path, changed: str, expected: set[str]) -> None:
    assert reached(planted) == set()
    write(planted, {changed: "1"})
    assert reached(planted) == expected, "not committed"
    commit(planted)
    assert reached(planted) == expected, "committed"


@pytest.mark.parametrize(
    ("deleted", "expected"),
    [
        ("pipeline/model/train.py", {"cli", "served", "text", "train"}),
        ("pages/ui/frame/frame.css", {"one", "every", "served"}),
        ("pages/one.py", {"one", "every", "served"}),
    ],
)
def test_a_deleted_or_renamed_file_is_a_change(planted: Path, deleted: str, expected: set[str]) -> None:
    (planted / deleted).rename(planted / "elsewhere")
    commit(planted)
    assert reached(planted) == expected


def test_what_a_merge_brings_is_a_change_whenever_it_was_made(planted: Path) -> None:
    git(planted, "checkout", "-b", "side")
    write(planted, {"pages/one.py": "1"})
    commit(planted, OLD)
    git(planted, "checkout", "main")
    assert reached(planted) == set()
    git(planted, "merge", "--no-ff", "side")
    assert reached(planted) == {"one", "every", "served"}


def test_an_older_commit_hides_no_newer_one(planted: Path) -> None:
    write(planted, {"pages/one.py": "1"})
    commit(planted)
    write(planted, {"pages/report/document.py": "1"})
    commit(planted, OLD)
    assert reached(planted) == {"one", "every", "served"}


def test_in_place_of_a_time_stands_the_branch_that_was_left(planted: Path) -> None:
    git(planted, "checkout", "-b", "side")
    write(planted, {"pages/one.py": "1"})
    commit(planted, OLD)
    write(planted, {"pages/report/document.py": "1"})
    git(planted, "branch", "later", "main")
    assert find_changes(planted, "main").files == {"pages/one.py", "pages/report/document.py"}
    assert find_changes(planted, "HEAD~1").files == {"pages/one.py", "pages/report/document.py"}
    assert find_changes(planted, "side").files == {"pages/report/document.py"}


@pytest.mark.parametrize("since", ["yesterda", "mian", "not a time", "--all", ""])
def test_what_is_neither_a_commit_nor_a_time_is_refused(
    planted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], since: str
) -> None:
    monkeypatch.chdir(planted)
    with pytest.raises(SystemExit, match="2"):
        reach.main([f"--changed-since={since}", "tests/pages/test_one.py"])
    assert f"{since!r} is neither a commit nor a time in the past" in capsys.readouterr().err


def test_what_is_not_a_time_is_refused_also_where_git_is_slow(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [1_000.0]

    def answer_late(_: Path, *__: str) -> list[str]:
        said = f"--max-age={seconds[0]:.0f}"
        seconds[0] += 30
        return [said]

    monkeypatch.setattr(time, "time", lambda: seconds[0])
    monkeypatch.setattr(reach, "_where_left", lambda *_: [])
    monkeypatch.setattr(reach, "_git", answer_late)
    with pytest.raises(ValueError, match="neither a commit nor a time"):
        find_changes(planted, "not a time")


def test_the_distance_is_the_number_of_imports(planted: Path) -> None:
    graph = Graph(planted, frozenset({"pipeline/model/train.py"}))
    near = {name: graph.nearest(f"tests/{name}.py") for name in ("pipeline/test_train", "pipeline/test_cli")}
    assert near == {
        "pipeline/test_train": (1, "pipeline/model/train.py"),
        "pipeline/test_cli": (4, "pipeline/model/train.py"),
    }
    assert Graph(planted, frozenset({"pyproject.toml"})).nearest("tests/lake/test_store.py") == (FAR, "pyproject.toml")


def test_a_shallow_clone_and_a_folder_without_history_say_so(planted: Path, tmp_path: Path) -> None:
    write(planted, {"lake/storage/store.py": "1"})
    commit(planted)
    git(tmp_path, "clone", "--depth", "1", f"file://{planted}", "shallow")
    assert find_changes(tmp_path / "shallow", SINCE) == Changes(unknown="this is a shallow clone")
    (tmp_path / "bare").mkdir()
    found = find_changes(tmp_path / "bare", SINCE)
    assert not found.files and "not a git repository" in found.unknown


def test_the_command_says_what_is_reached(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(planted)
    asked = ["--changed-since", SINCE, "tests/pages/test_one.py"]
    assert reach.main(asked) == NOT_REACHED
    write(planted, {"pages/one.py": "1"})
    assert reach.main(asked) == 0
    write(tmp_path, {"tests/pages/test_one.py": ""})
    monkeypatch.chdir(tmp_path)
    assert reach.main(asked) == 0
    nothing, change, unknown = capsys.readouterr().out.splitlines()
    assert nothing == "tests/pages/test_one.py reaches nothing that has changed"
    assert change == "tests/pages/test_one.py reaches pages/one.py"
    assert unknown.startswith("tests/pages/test_one.py may reach anything: git tells no history: ")
    with pytest.raises(SystemExit, match="2"):
        reach.main([*asked, "tests/pages/test_renamed.py"])
    assert "there is no tests/pages/test_renamed.py" in capsys.readouterr().err


def test_what_is_named_by_its_path_exists() -> None:
    ours = Graph(REPOSITORY, frozenset()).modules
    names = {*reach.STARTS, *reach.FIXTURES.values(), *(name for names in reach.STARTS.values() for name in names)}
    assert {name for name in names if name.endswith(".py")} <= ours
    assert all((REPOSITORY / name).exists() for name in (*names, *reach.EVERY))


def test_every_shared_fixture_that_needs_code_is_named() -> None:
    fixtures = re.findall(r"@pytest\.fixture(.*)\ndef (\w+)", (REPOSITORY / "tests" / "conftest.py").read_text())
    asked = {name for options, name in fixtures if "autouse" not in options}
    assert asked - {"common_folder", "empty_lake"} == reach.FIXTURES.keys()


@pytest.mark.parametrize(
    ("test", "changed"),
    [
        ("tests/browser/test_walk.py", "pages/confusion.py"),
        ("tests/pages/test_samples_page.py", "pages/ui/samples/gallery.js"),
        ("tests/external/test_dagster.py", "deploy/dagster.lock"),
        ("tests/desk/test_terminal.py", "pipeline/commands/refresh.py"),
        ("tests/desk/test_wheel.py", "pages/ui/server/streamlit.toml"),
        ("tests/desk/test_python_use.py", "README.md"),
        ("tests/lake/storage/test_readers.py", "lake/storage/store.py"),
        ("tests/lake/query/test_saved_views.py", "tests/support/lakes/two_runs.py"),
        ("tests/pages/test_samples_page.py", "tests/support/servers/apps.py"),
        ("tests/pipeline/refresh/test_refresh.py", "tests/support/suite/maps.py"),
    ],
)
def test_tests_of_ours_reach_what_they_read(test: str, changed: str) -> None:
    near = Graph(REPOSITORY, frozenset({changed})).nearest(test)
    assert near and near[1] == changed


def test_tests_of_the_lake_and_of_stages_do_not_reach_pages() -> None:
    graph = Graph(REPOSITORY, frozenset({"pages/confusion.py"}))
    names = ("lake/storage/test_readers", "pipeline/findings/test_search")
    assert not any(graph.nearest(f"tests/{name}.py") for name in names)


@pytest.mark.parametrize(
    ("test", "page", "opened"),
    [
        ("browser/test_why", "loss_analysis", True),
        ("browser/test_why", "runs", False),
        ("browser/test_why", "overview", True),
        ("browser/test_walk", "runs", True),
        ("external/test_object_store", "runs", True),
        ("lake/storage/test_gc", "runs", False),
        ("desk/test_terminal", "runs", False),
        ("desk/test_serve", "runs", True),
    ],
)
def test_a_page_reaches_the_tests_that_open_it(test: str, page: str, opened: bool) -> None:
    near = Graph(REPOSITORY, frozenset({f"pages/{page}.py"})).nearest(f"tests/{test}.py")
    assert (near is not None) == opened


# --- runs of pytest

LONG = "import pytest\n@pytest.mark.long\n"
SLEEPS = """
import time, pytest
@pytest.fixture
def nap():
    time.sleep(0.2)
    yield
    time.sleep(0.2)
def test_quick(nap): time.sleep(0.2)
"""
RUN = {
    "pytest.ini": "[pytest]\nmarkers =\n  long: takes long",
    "tests/lake/test_far.py": f"import lake.far\n{LONG}def test_far(): pass",
    "tests/lake/test_near.py": f"import lake.near\n{LONG}def test_near(): pass\ndef test_beside(): pass",
    "tests/lake/test_other.py": f"{LONG}def test_other(): pass",
    "tests/test_quick.py": SLEEPS,
    "tests/test_tenth.py": f"{LONG}@pytest.mark.parametrize('n', range(40))\ndef test_tenth(n): pass",
    "lake/far.py": "import lake.near",
    "lake/near.py": "",
}


@pytest.fixture
def runs(planted: Path) -> Path:
    """A repository with long tests, in which `lake/near.py` has changed."""
    write(planted, RUN)
    for name in TREE.keys() - RUN.keys():
        if name.startswith("tests/"):
            (planted / name).unlink()
    commit(planted, OLD)
    write(planted, {"lake/near.py": "1"})
    return planted


def run_tests(root: Path, *options: str) -> tuple[int, list[str], str]:
    """The exit code, the tests that passed, in order, and all that was printed."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.support.suite.tiers",
        "-p",
        "xdist",
        "-v",
        "-ra",
        "-p",
        "no:cacheprovider",
    ]
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "200", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [*command, *options], cwd=root, env=variables, capture_output=True, text=True, check=False, timeout=120
    )
    passed = re.findall(r"^(?:\S+::(\S+) PASSED|.* PASSED \S+::(\S+) ?$)", done.stdout, flags=re.M)
    return done.returncode, [alone or parallel for alone, parallel in passed], done.stdout + done.stderr


@pytest.mark.long
def test_all_long_tests_run_after_the_others_where_nothing_is_asked(runs: Path) -> None:
    code, passed, printed = run_tests(runs)
    assert code == 0 and len(passed) == 45
    assert passed[0] == "test_quick"
    assert "long tests" not in printed


def test_those_that_reach_a_change_run_nearest_first_and_others_are_left_out(runs: Path) -> None:
    code, passed, printed = run_tests(runs, "--changed-since", SINCE)
    assert (code, passed) == (0, ["test_quick", "test_near", "test_beside", "test_far"])
    assert f"long tests: those in 2 files that reach one of 1 changed since {SINCE}\n" in printed
    assert "41 deselected" in printed


@pytest.mark.long
def test_of_a_shallow_clone_all_run(runs: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--depth", "1", f"file://{runs}", "shallow")
    code, passed, printed = run_tests(tmp_path / "shallow", "--changed-since", SINCE)
    assert code == 0 and len(passed) == 45
    assert "long tests: all, because this is a shallow clone\n" in printed


def test_ten_tenths_are_all_long_tests_and_each_another(runs: Path) -> None:
    choices = [Choice("", {}, tenth=day) for day in range(300, 310)]
    names = [f"tests/test_tenth.py::test_tenth[{n}]" for n in range(200)]
    chosen = [[name for name in names if choice.rank(name) is not None] for choice in choices]
    assert sorted(name for some in chosen for name in some) == sorted(names)
    assert all(5 < len(some) < 40 for some in chosen)
    code, passed, _ = run_tests(runs, "-m", "long", "--tenth", "303", "tests/test_tenth.py")
    assert code == 0
    assert {f"tests/test_tenth.py::{name}" for name in passed} == {*chosen[3]} & {*names[:40]}


@pytest.mark.long
def test_tests_that_would_start_too_late_are_named(runs: Path) -> None:
    code, passed, printed = run_tests(runs, "--changed-since", SINCE, "--minutes", "0")
    assert (code, passed) == (0, ["test_quick", "test_beside"])
    skipped = re.findall(r"^SKIPPED .*: (\S+) would have started after --minutes 0$", printed, flags=re.M)
    assert skipped == ["tests/lake/test_near.py::test_near", "tests/lake/test_far.py::test_far"]
    assert "s  lake, tests: 1\n" in printed


def test_a_wrong_time_ends_it_before_any_test(runs: Path) -> None:
    code, passed, printed = run_tests(runs, "--changed-since", "mian")
    assert (code, passed) == (pytest.ExitCode.USAGE_ERROR, [])
    assert "'mian' is neither a commit nor a time in the past" in printed


@pytest.mark.long
def test_that_no_long_test_is_to_run_is_no_failure(runs: Path) -> None:
    asked = ("-m", "long", "tests/lake/test_other.py", "--changed-since", SINCE)
    assert [run_tests(runs, *asked, *parallel)[0] for parallel in ((), ("-n", "2"))] == [0, 0]
    assert run_tests(runs, "-m", "long", "tests/test_quick.py")[0] == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.long
def test_processes_choose_the_same_tests_and_costs_are_printed_once(runs: Path) -> None:
    options = ("--changed-since", SINCE, "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
    code, passed, printed = run_tests(runs, *options)
    assert (code, sorted(passed)) == (0, ["test_beside", "test_far", "test_near", "test_quick"])
    costs = printed.partition(" what tests cost ")[2]
    assert costs and " what tests cost " not in costs
    lines = [line for line in costs.splitlines() if " s  " in line]
    assert re.fullmatch(
        r" +(0\.[6-9]|[1-9]\.\d) s  tests/test_quick\.py::test_quick  \(\d\.\d s in fixtures\)", lines[0]
    )
    assert {re.split(r"::|  \(", line)[1] for line in lines[1:4]} == {"test_beside", "test_far", "test_near"}
    folders = [re.fullmatch(r" +[\d.]+ s  (\w+), tests: (\d+)", line) for line in lines[4:]]
    assert [found and found.groups() for found in folders] == [("lake", "3"), ("other", "1"), ("all", "4")]
