"""The packages form an order, also by imports inside functions, and every folder can be taken in at a glance."""

import graphlib
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY
from tests.support.suite.house import TOPS, draw_graph, draw_tree, find_modules, graph_of, order_of, package_of

ENTRIES_AT_MOST = 16


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    files = {
        "lake/__init__.py": '"""Stores.\n\nMore."""',
        "lake/errors.py": '"""Errors."""',
        "lake/query/__init__.py": "",
        "lake/query/one.py": "from lake.errors import UserError",
        "pipeline/engine/__init__.py": "",
        "pipeline/engine/run.py": "def run():\n    from lake.query import one\n    import lake.errors",
        "pipeline/stages/__init__.py": "",
        "pipeline/stages/graph.py": "from pipeline.engine import run",
        "pages/__init__.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_imports_inside_functions_count(planted: Path) -> None:
    assert graph_of(find_modules(planted)) == {
        "lake.errors": set(),
        "lake.query": {"lake.errors"},
        "pipeline.engine": {"lake.query", "lake.errors"},
        "pipeline.stages": {"pipeline.engine"},
    }
    assert "stages --> engine" in draw_graph(graph_of(find_modules(planted)), "pipeline")
    assert draw_tree(planted).splitlines()[0].split() == ["lake/", "Stores."]


def test_a_ring_is_named(planted: Path) -> None:
    (planted / "pipeline" / "engine" / "late.py").write_text("def f():\n    from pipeline.stages.graph import run")
    with pytest.raises(graphlib.CycleError) as raised:
        order_of(graph_of(find_modules(planted)))
    assert {"pipeline.engine", "pipeline.stages"} <= set(raised.value.args[1])


def test_packages_import_only_what_lies_below_them() -> None:
    modules = find_modules()
    assert len(modules) > 150
    assert len(order_of(graph_of(modules))) == len({package_of(name) for name in modules})


@pytest.mark.parametrize("top", TOPS)
def test_a_folder_has_few_entries_and_says_what_it_is_for(top: str) -> None:
    folders = [REPOSITORY / top, *(path for path in (REPOSITORY / top).rglob("*") if path.is_dir())]
    folders = [folder for folder in folders if folder.name != "__pycache__"]
    for folder in folders:
        entries = [path for path in folder.iterdir() if path.name not in ("__pycache__", "__init__.py")]
        assert len(entries) <= ENTRIES_AT_MOST, folder
    assert all(len(folder.relative_to(REPOSITORY).parts) <= 3 for folder in folders)


def test_every_folder_and_module_says_what_it_is_for() -> None:
    assert not [line for line in draw_tree().splitlines() if line.endswith(("/", ".py"))]
