"""Overview of all modules: `python -m tests.support.suite.house` (`make house`) prints the tree and the packages.

A package here is a folder below `lake`, `pipeline` or `pages`; a module directly in one of these is its own package.
"""

import ast
import graphlib
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import REPOSITORY

TOPS = ("lake", "pipeline", "pages")
Graph = dict[str, set[str]]


def find_modules(root: Path = REPOSITORY) -> dict[str, Path]:
    """Full module name -> file, for every module except `__init__`."""
    files = [file for top in TOPS for file in sorted((root / top).rglob("[!_]*.py"))]
    return {".".join(file.relative_to(root).with_suffix("").parts): file for file in files}


def package_of(module: str) -> str:
    """`lake.contracts.tables.tables` -> `lake.contracts.tables`; `lake.errors` is its own."""
    return module.rpartition(".")[0] if module.count(".") > 1 else module


def graph_of(modules: dict[str, Path]) -> Graph:
    """Package -> packages it imports, also inside functions."""
    graph: Graph = defaultdict(set)
    for module, file in modules.items():
        package = package_of(module)
        graph[package] |= {package_of(name) for name in _imported(file, modules)} - {package}
    return dict(graph)


def order_of(graph: Graph) -> list[str]:
    """Packages in topological order, imports first. Raises `graphlib.CycleError` with the packages of a cycle."""
    return list(graphlib.TopologicalSorter({name: sorted(graph[name]) for name in sorted(graph)}).static_order())


def draw_graph(graph: Graph, top: str) -> str:
    """The packages below a top-level one as a mermaid flowchart, without edges implied by others."""
    within = {name: {other for other in others if other.startswith(f"{top}.")} for name, others in graph.items()}
    lines = ["```mermaid", "flowchart TD"]
    for name in order_of(graph):
        if name.startswith(f"{top}."):
            further = {far for near in within[name] for far in _below(within, near)}
            lines += [f"  {_leaf(name, top)} --> {_leaf(other, top)}" for other in sorted(within[name] - further)]
    return "\n".join([*lines, "```"])


def draw_tree(root: Path = REPOSITORY) -> str:
    """Every folder and module with the first paragraph of its docstring."""
    lines = []
    for top in TOPS:
        folders = sorted({file.parent for file in (root / top).rglob("*.py")})
        for folder in folders:
            depth = len(folder.relative_to(root).parts) - 1
            lines.append(_entry(depth, f"{folder.name}/", folder / "__init__.py"))
            lines += [_entry(depth + 1, file.name, file) for file in sorted(folder.glob("[!_]*.py"))]
    return "\n".join(lines)


def page() -> str:
    """The complete page for the docs."""
    graph = graph_of(find_modules())
    parts = ["# Modules", "Printed by `make house`. A package imports only packages below it; a test checks this."]
    for top in TOPS:
        parts += [f"## Packages of `{top}`", draw_graph(graph, top)]
    return "\n\n".join([*parts, "## Every module", f"```text\n{draw_tree()}\n```"]) + "\n"


def _imported(file: Path, modules: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in modules else node.module for name in named if {name, node.module} & {*modules})
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)


def _below(graph: Graph, name: str) -> set[str]:
    """All packages that a package imports, directly or indirectly."""
    return graph[name] | {far for near in graph[name] for far in _below(graph, near)}


def _leaf(name: str, top: str) -> str:
    return name.removeprefix(f"{top}.").replace(".", "/")


def _entry(depth: int, name: str, file: Path) -> str:
    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    first = " ".join(doc.split("\n\n")[0].split())
    label = "  " * depth + name
    return f"{label:<32} {first}".rstrip()


if __name__ == "__main__":
    sys.stdout.write(page())
