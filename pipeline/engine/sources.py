"""The modules of this project as syntax trees, and what the names in them stand for."""

import ast
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib.abc import InspectLoader
from pathlib import Path

from pipeline.engine.scopes import bindings

OURS = ("lake", "pipeline")
Read = Callable[[str], str | None]
"""Module -> its source; None if there is no such module."""


@dataclass(frozen=True)
class Definition:
    """A function, class or constant of a project module."""

    module: str
    name: str


@dataclass(frozen=True)
class Module:
    """A project module."""

    name: str


@dataclass(frozen=True)
class External:
    """A name of another package, as a dotted path."""

    path: str


Target = Definition | Module | External


def read_source(module: str) -> str | None:
    """The source of an importable module; None if there is no such module."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin is None:
        return None
    if isinstance(spec.loader, InspectLoader):
        return spec.loader.get_source(module)
    return Path(spec.origin).read_text(
        encoding="utf-8"
    )  # a loader without `get_source`, such as one installed in front of Python's own


class _Source:
    """The statements of a module, by the names they bind."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        body = ast.parse(text).body
        self.scope = bindings(body)
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.effects: list[ast.stmt] = []
        """Statements that bind nothing and run when the module is imported."""
        for statement in body:
            bound = bindings([statement])
            for binding in sorted(bound.names):
                self.definitions.setdefault(binding, []).append(statement)
            if not (bound.names or bound.imports or is_text(statement)):
                self.effects.append(statement)


class Sources:
    """Project modules, parsed on demand, and the resolution of names in them."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._parsed: dict[str, _Source | None] = {}

    def find(self, module: str) -> _Source | None:
        """Return the module, or None if there is none of that name."""
        if module not in self._parsed:
            text = self._read(module)
            self._parsed[module] = None if text is None else _Source(module, text)
        return self._parsed[module]

    def definition(self, definition: Definition) -> list[ast.stmt]:
        """The statements that bind the name of a definition."""
        source = self.find(definition.module)
        return source.definitions.get(definition.name, []) if source else []

    def resolve(self, module: str, name: str) -> Target | None:
        """Resolve a top-level name of a module; None for a builtin."""
        source = self.find(module)
        if source is None:
            return None
        if name in source.scope.imports:
            return self.follow(*source.scope.imports[name])
        return Definition(module, name) if name in source.definitions else None

    def follow(self, module: str, name: str | None) -> Target | None:
        """Resolve a module, or a name in it."""
        if not is_ours(module):
            return External(f"{module}.{name}" if name else module)
        if name is None:
            return Module(module)
        target = self.resolve(module, name)
        if target is None and self.find(f"{module}.{name}"):
            return Module(f"{module}.{name}")
        return target


def is_ours(module: str) -> bool:
    """Whether a module is one of this project."""
    return module.split(".")[0] in OURS


def is_text(node: object) -> bool:
    """Whether a statement is only a string, such as a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
