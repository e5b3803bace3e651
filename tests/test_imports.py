"""Who may import whom: the lake knows nobody, pages and pipeline know the lake and not each other."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY


def modules_in(*folder: str) -> list[str]:
    """The modules in a folder and below, by their full names."""
    files = sorted(REPOSITORY.joinpath(*folder).rglob("[!_]*.py"))
    return [".".join(file.relative_to(REPOSITORY).with_suffix("").parts) for file in files]


LAKE, SHARED = modules_in("lake"), modules_in("pages", "ui")
SENTENCES, REPORT = modules_in("pages", "text"), modules_in("pages", "report")
DOORS = {
    REPOSITORY / "pages" / "ui" / "loss_maps" / "live_explain.py": "pipeline",
    REPOSITORY / "pipeline" / "commands" / "export.py": "pages",
}
"""The one module that a folder has for each folder it must not know otherwise."""
HEAVY = {"torch", "torchvision", "timm", "sklearn", "umap", "hdbscan", "scipy", "pytorch_grad_cam", "faiss"}


def loaded_after(modules: list[str]) -> set[str]:
    """Top-level packages loaded in a fresh process by importing the modules."""
    program = f"import sys\nimport {', '.join(modules)}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.split())


def test_the_lake_loads_neither_torch_nor_streamlit() -> None:
    assert len(LAKE) >= 5
    assert not loaded_after(LAKE) & {*HEAVY, "streamlit", "altair", "pages", "pipeline"}


def test_the_app_loads_neither_torch_nor_the_pipeline() -> None:
    assert len(SHARED) >= 8
    loaded = loaded_after([*SHARED, "streamlit_app"])
    assert "streamlit" in loaded
    assert not loaded & {*HEAVY, "pipeline"}


def test_what_pages_say_and_the_report_need_no_streamlit() -> None:
    assert len(SENTENCES) >= 5
    assert len(REPORT) >= 4
    assert not loaded_after([*SENTENCES, *REPORT]) & {*HEAVY, "streamlit", "pipeline"}


def test_the_command_compare_needs_no_training_package() -> None:
    assert not loaded_after(["pipeline.cli", "pipeline.commands.compare"]) & HEAVY


def test_no_modules_import_each_other_as_they_are_loaded() -> None:
    """Else one of them can be imported only after the other."""
    folders = ("lake", "pages", "pipeline")
    files = [file for folder in folders for file in (REPOSITORY / folder).rglob("*.py") if file.stem != "__init__"]
    names = {file: ".".join(file.relative_to(REPOSITORY).with_suffix("").parts) for file in files}
    assert len(names) > 150
    loaded = {names[file]: {*modules_of(file, at_once=True)} for file in files}
    graph = {name: found & {*names.values()} for name, found in loaded.items()}
    assert any(graph.values())
    tuple(graphlib.TopologicalSorter(graph).static_order())  # CycleError names a ring


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("lake", {"pages", "pipeline", "streamlit", "streamlit_app"}),
        ("pages", {"pipeline", *HEAVY}),
        ("pipeline", {"pages", "streamlit", "streamlit_app"}),
    ],
)
def test_a_folder_imports_none_of_those_it_must_not_know(folder: str, forbidden: set[str]) -> None:
    files = [*(REPOSITORY / folder).rglob("*.py")]
    assert files
    for file in files:
        assert not (forbidden - {DOORS.get(file)}) & set(imported(file)), file


@pytest.mark.parametrize(("door", "behind"), DOORS.items(), ids=lambda value: getattr(value, "stem", value))
def test_a_door_is_opened_inside_functions_only(door: Path, behind: str) -> None:
    outside = [node for node in ast.parse(door.read_text()).body if isinstance(node, ast.ImportFrom)]
    assert not [node.module for node in outside if str(node.module).startswith(behind)]


def test_the_command_export_opens_the_report_and_no_other_page() -> None:
    door = REPOSITORY / "pipeline" / "commands" / "export.py"
    modules = [node.module for node in ast.walk(ast.parse(door.read_text())) if isinstance(node, ast.ImportFrom)]
    assert {str(m) for m in modules if str(m).startswith("pages")} == {"pages.report.document", "pages.report.pictures"}


def imported(file: Path) -> Iterator[str]:
    """Top-level packages that the file imports anywhere, also inside functions."""
    return (name.split(".")[0] for name in modules_of(file))


def modules_of(file: Path, *, at_once: bool = False) -> Iterator[str]:
    """What the file imports: modules and what is taken from them, as `a` and `a.b` of `from a import b`.

    Anywhere, also inside functions, or at once, as the file itself is imported.
    """
    tree = ast.parse(file.read_text())
    for node in tree.body if at_once else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{file} imports relatively"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_one_module_knows_umap() -> None:
    """It says which names inside umap it uses."""
    files = [file for folder in ("lake", "pages", "pipeline") for file in (REPOSITORY / folder).rglob("*.py")]
    assert [file.stem for file in files if "umap" in imported(file)] == ["umap_projection"]


def test_no_test_imports_another() -> None:
    files = [*(REPOSITORY / "tests").rglob("*.py"), *(REPOSITORY / "benchmarks").glob("*.py")]
    assert len(files) > 100
    for file in files:
        ours = {name for name in modules_of(file) if name.split(".")[0] == "tests"}
        assert not {name for name in ours if not name.startswith("tests.support")}, file
