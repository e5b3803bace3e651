"""Which tests a change reaches: those whose file imports a changed file, directly or indirectly.

`python -m tests.support.suite.reach --changed-since "1 day ago" TEST...` prints for each test file which change it
reaches, and exits with 3 if none reaches any. Instead of a time, `main` or any other commit means the changes of this
branch. It examines the repository in the working folder.
"""

import argparse
import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

FOLDERS = ("benchmarks", "deploy", "lake", "pages", "pipeline", "tests")
NAMED = re.compile(rf"\b(?:{'|'.join(FOLDERS)})(?:\.\w+)+")
EVERY = ("pyproject.toml", "requirements.lock", "tests/conftest.py", "tests/support/suite/maps.py")
"""Files whose change reaches every test: dependencies, and fixtures that apply to all tests."""
FAR, NOT_REACHED = 99, 3
"""Distance of a test from a change that reaches every test, and the exit code."""
NAVIGATION, FIRST_PAGE, SERVE = "pages/ui/session/navigation.py", "pages/overview.py", "pipeline/commands/serve.py"
EVERY_PAGE = re.compile(r"\b(?:ENTRIES|NAMES|PAGES)\b")
"""Matches test files that open all pages. A file that does not match but names pages opens those and the first page."""
APP, COMMAND = "streamlit_app.py", "pipeline/start.py"
STARTS = {
    APP: [".streamlit/"],
    NAVIGATION: ["pages/"],
    SERVE: ["pages/ui/server/launch.py", APP],
    "tests/desk/test_python_use.py": ["README.md"],
    "tests/external/test_deploy.py": ["deploy/"],
    "tests/support/servers/apps.py": [APP],
    "tests/support/servers/browser.py": [APP],
    "tests/support/processes/commands.py": [COMMAND],
    "tests/support/processes/python.py": ["latentlake.py", COMMAND],
    "tests/support/servers/server.py": [COMMAND],
    "tests/support/processes/terminal.py": [COMMAND],
}
"""What a file runs or reads without importing it: files, and folders with the files directly in them."""
FIXTURES = {
    **dict.fromkeys(("browser", "opened", "tiny"), "tests/support/servers/browser.py"),
    **dict.fromkeys(("built", "built_and_staged", "lake", "staged_lake", "tables"), "tests/support/lakes/two_runs.py"),
    **dict.fromkeys(("lake_copy", "rows", "tiny_lake"), "tests/support/lakes/tiny_lake.py"),
    "open_page": "tests/support/servers/apps.py",
    "changed_lake": "tests/support/lakes/changed_run.py",
    "drawn_folder": "pipeline/refresh/refresh.py",
}
"""Fixtures of `tests/conftest.py` and the file that each uses."""


@dataclass(frozen=True)
class Changes:
    """Changed files by their path in the repository; `unknown` is the reason if they cannot be determined."""

    files: frozenset[str] = frozenset()
    unknown: str = ""


def find_changes(root: Path, since: str) -> Changes:
    """Uncommitted changes, and those of commits since a time, or since this branch left another.

    A merge counts with everything it brought in. Raises `ValueError` if `since` is neither a commit nor a past time.
    """
    named = ("--name-only", "--no-renames", "-z")
    try:
        if _git(root, "rev-parse", "--is-shallow-repository") == ["true"]:
            return Changes(unknown="this is a shallow clone")
        if left := _where_left(root, since):
            committed = _git(root, "diff", *left, "HEAD", *named)
        else:  # unlike --since, does not stop at the first older commit
            when = f"--since-as-filter={_seconds(root, since)}"
            committed = _git(root, "log", when, "--format=", "-m", "--first-parent", *named)
        added = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
        return Changes(frozenset([*committed, *_git(root, "diff", "HEAD", *named), *added]))
    except (OSError, subprocess.CalledProcessError) as error:
        return Changes(unknown=f"git tells no history: {str(getattr(error, 'stderr', error)).strip()}")


def _where_left(root: Path, name: str) -> list[str]:
    """The merge base of this branch and the named commit; empty if there is no such commit."""
    try:
        return _git(root, "merge-base", "--", name, "HEAD")
    except subprocess.CalledProcessError:
        return []


def _seconds(root: Path, since: str) -> int:
    """The time as understood by git, which takes anything it does not understand as now."""
    asked = int(time.time())  # before git reads the clock, however long it takes to answer
    (said,) = _git(root, "rev-parse", f"--since={since}")
    seconds = int(said.removeprefix("--max-age="))
    if seconds >= asked:
        raise ValueError(f"{since!r} is neither a commit nor a time in the past: say '1 day ago', or 'main'")
    return seconds


def _git(root: Path, *arguments: str) -> list[str]:
    done = subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True)
    return [line for line in re.split(r"[\0\n]", done.stdout) if line]


class Graph:
    """Which file imports or runs which, judged by syntax, also inside functions; Markdown counts only if read."""

    def __init__(self, root: Path, changed: frozenset[str]) -> None:
        read = {file for files in STARTS.values() for file in files}
        self.root, self.changed = root, frozenset(file for file in changed if not file.endswith(".md") or file in read)
        found = [*root.glob("*.py"), *(file for name in FOLDERS for file in (root / name).rglob("*.py"))]
        gone = {file for file in self.changed if file.endswith(".py")}  # other files may still import it
        self.modules = {file.relative_to(root).as_posix() for file in found} | gone
        self._read = [(self._reader(file), file) for file in self.changed - gone]
        self._next: dict[str, set[str]] = {}

    def nearest(self, test: str) -> tuple[int, str] | None:
        """The number of imports to the nearest changed file, and its path; None if the test reaches none."""
        seen, here, distance, closed = {test}, {test}, 0, self._closed(test)
        while here:
            if hit := here & self.changed:
                return distance, min(hit)
            here = {next_ for file in here for next_ in self._reached_from(file) if (file, next_) not in closed} - seen
            seen, distance = seen | here, distance + 1
        return next(((FAR, file) for file in EVERY if file in self.changed), None)

    def _closed(self, test: str) -> set[tuple[str, str]]:
        """Edges that a test file does not follow: to pages it does not open, and to a server if it does not use one."""
        text = (self.root / test).read_text(encoding="utf-8")
        pages = {file for file in self.modules if _folder(file) == "pages/"}
        strings = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
        said = " ".join(value for value in strings if isinstance(value, str))
        named = {page for page in pages if re.search(rf"\b{PurePosixPath(page).stem}\b", said)}
        opened = {*named, FIRST_PAGE} if named and not EVERY_PAGE.search(text) else pages
        served = [] if "serve" in text else STARTS[SERVE]
        return {(NAVIGATION, page) for page in pages - opened} | {(SERVE, file) for file in served}

    def _reached_from(self, file: str) -> set[str]:
        if file not in self._next:
            run = {one for one in self.modules | self.changed if {one, _folder(one)} & {*STARTS.get(file, [])}}
            read = {one for reader, one in self._read if reader == _folder(file) and file in self.modules}
            self._next[file] = {*self._imports(file), *run, *read}
        return self._next[file]

    def _imports(self, file: str) -> Iterator[str]:
        source = self.root / file
        if file not in self.modules or not source.exists():
            return
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                yield from (one for alias in node.names for one in self._files_of(f"{node.module}.{alias.name}"))
            elif isinstance(node, ast.Import):
                yield from (one for alias in node.names for one in self._files_of(alias.name))
            elif file.startswith("tests/") and isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from (one for name in NAMED.findall(node.value) for one in self._files_of(name))
            elif file.startswith("tests/") and isinstance(node, ast.arg) and node.arg in FIXTURES:
                yield FIXTURES[node.arg]

    def _files_of(self, module: str) -> Iterator[str]:
        """The file of a module, or of the module that defines the name, and its enclosing packages."""
        parts = module.split(".")
        stems = ("/".join(parts[: count + 1]) for count in range(len(parts)))
        yield from (file for stem in stems for file in (f"{stem}.py", f"{stem}/__init__.py") if file in self.modules)

    def _reader(self, file: str) -> str:
        """The nearest folder above a file whose modules may read it; none for files at the root."""
        folders = {_folder(module) for module in self.modules if not module.endswith("__init__.py")}
        return next((f"{one}/" for one in PurePosixPath(file).parents if f"{one}/" in folders), "no folder")


def _folder(file: str) -> str:
    """The folder with a trailing slash; empty for a file at the root."""
    return file[: file.rfind("/") + 1]


def main(arguments: list[str] | None = None) -> int:
    """Print what each test file reaches; returns 0 if any reaches a change, or if changes are unknown."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.suite.reach", description=__doc__)
    parser.add_argument("--changed-since", required=True, metavar="WHEN", help="a time, or a commit")
    parser.add_argument("tests", nargs="+")
    asked = parser.parse_args(arguments)
    if missing := [test for test in asked.tests if not Path(test).is_file()]:
        parser.error(f"there is no {missing[0]}")
    try:
        changes = find_changes(Path.cwd(), asked.changed_since)
    except ValueError as error:
        parser.error(str(error))
    graph = Graph(Path.cwd(), changes.files)
    found = {test: graph.nearest(test) for test in asked.tests}
    for test, near in found.items():
        unknown = f" may reach anything: {changes.unknown}" if changes.unknown else " reaches nothing that has changed"
        sys.stdout.write(test + (f" reaches {near[1]}" if near else unknown) + "\n")
    return 0 if changes.unknown or any(found.values()) else NOT_REACHED


if __name__ == "__main__":
    sys.exit(main())
