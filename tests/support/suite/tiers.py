"""pytest plugin that selects the tests marked `long` and reports the cost of all tests, with or without xdist.

Without options, every test left by `-m` runs. `--changed-since` and `--tenth` keep some of the long tests and do not
affect others; files with long tests come last, those nearest to a change first.
"""

import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any
from zlib import crc32

import pytest

from tests.support.suite.reach import FAR, Graph, find_changes

SLOWEST = 20


@dataclass(frozen=True)
class Choice:
    """Selection of long tests: those in the files of `distances`, those in a tenth of all names, or all.

    Made once and passed to the xdist workers, so that they agree.
    """

    said: str
    distances: dict[str, int]
    all: bool = False
    tenth: int | None = None
    until: float = float("inf")

    def rank(self, test: str) -> int | None:
        """Rank of a test, lower ranks run earlier; None for a test that is left out."""
        near = self.distances.get(test.partition("::")[0])
        if near is not None or self.all:
            return FAR if near is None else near
        chosen = self.tenth is not None and crc32(test.encode()) % 10 == self.tenth % 10
        return FAR + 1 if chosen else None


CHOICE = pytest.StashKey[Choice]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("long tests")
    since = "run those long tests that reach what has changed since a time ('1 day ago') or a commit ('main')"
    tenth = "run a tenth of the long tests, or that tenth too; each last digit of N is another tenth"
    late = "skip and name the long tests that would start later than that"
    group.addoption("--changed-since", metavar="WHEN", help=since)
    group.addoption("--tenth", type=int, metavar="N", help=tenth)
    group.addoption("--minutes", type=float, default=float("inf"), help=late)


def pytest_configure(config: pytest.Config) -> None:
    given = getattr(config, "workerinput", None)
    config.stash[CHOICE] = Choice(**given["choice"]) if given else _choose(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hook of xdist: pass the choice to a worker."""
    node.workerinput["choice"] = asdict(node.config.stash[CHOICE])


def _choose(config: pytest.Config) -> Choice:
    since, tenth = config.getoption("changed_since"), config.getoption("tenth")
    until = time.time() + 60 * config.getoption("minutes")
    if since is None:
        said = "" if tenth is None else f"tenth {tenth % 10}"
        return Choice(said, {}, tenth is None, tenth, until)
    try:
        changes = find_changes(config.rootpath, since)
    except ValueError as error:
        raise pytest.UsageError(f"--changed-since: {error}") from None
    if changes.unknown:
        return Choice(f"all, because {changes.unknown}", {}, True, tenth, until)
    graph = Graph(config.rootpath, changes.files)
    tests = (file.relative_to(config.rootpath).as_posix() for file in config.rootpath.glob("tests/**/test_*.py"))
    distances = {test: near[0] for test in tests if (near := graph.nearest(test))}
    said = f"those in {len(distances)} files that reach one of {len(changes.files)} changed since {since}"
    return Choice(said + ("" if tenth is None else f", and tenth {tenth % 10}"), distances, False, tenth, until)


def pytest_report_header(config: pytest.Config) -> list[str]:
    said = config.stash[CHOICE].said
    return [f"long tests: {said}"] if said else []


@pytest.hookimpl(trylast=True)  # after the selection by `-m`
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    choice = config.stash[CHOICE]
    ranks = {item: choice.rank(item.nodeid) for item in items if item.get_closest_marker("long")}
    config.hook.pytest_deselected(items=[item for item, rank in ranks.items() if rank is None])
    first: dict[object, int] = {}
    for item, rank in ranks.items():
        if rank is not None:
            first[item.path] = min(rank, first.get(item.path, rank))
    items[:] = [item for item in items if ranks.get(item, FAR) is not None]
    items.sort(key=lambda item: first.get(item.path, -1))  # whole files, because their tests share what they build


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("long") and time.time() > item.config.stash[CHOICE].until:
        pytest.skip(f"{item.nodeid} would have started after --minutes {item.config.getoption('minutes'):g}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """It is not a failure if no long test is selected."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and not session.config.stash[CHOICE].all:
        session.exitstatus = pytest.ExitCode.OK


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report the slowest tests, the time of their fixtures, and each folder's number of tests and seconds.

    A fixture shared by several tests counts for the first; seconds of parallel processes are added up.
    """
    reports = [one for some in terminalreporter.stats.values() for one in some if isinstance(one, pytest.TestReport)]
    skipped = {one.nodeid for one in reports if one.when == "setup" and one.skipped}
    seconds: dict[str, float] = defaultdict(float)
    fixtures: dict[str, float] = defaultdict(float)
    for report in reports:
        if report.nodeid not in skipped:
            seconds[report.nodeid] += report.duration
            fixtures[report.nodeid] += report.duration if report.when != "call" else 0
    if not seconds:
        return
    terminalreporter.section("what tests cost")
    for test in sorted(seconds, key=lambda test: -seconds[test])[:SLOWEST]:
        of_it = f"  ({fixtures[test]:.1f} s in fixtures)" if fixtures[test] > seconds[test] / 2 else ""
        terminalreporter.write_line(f"{seconds[test]:8.1f} s  {test}{of_it}")
    folders: dict[str, list[float]] = defaultdict(list)
    for test, taken in seconds.items():
        folders[_folder(test)].append(taken)
    for folder, costs in [*sorted(folders.items()), ("all", [*seconds.values()])]:
        terminalreporter.write_line(f"{sum(costs):8.1f} s  {folder}, tests: {len(costs)}")


def _folder(test: str) -> str:
    parts = test.partition("::")[0].split("/")
    return parts[1] if len(parts) > 2 else "other"
