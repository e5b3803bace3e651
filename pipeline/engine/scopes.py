"""The names that a function, class or module binds, read from its syntax tree."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Import = ast.Import | ast.ImportFrom
_Nested = Function | ast.ClassDef


@dataclass
class Scope:
    """The names that a function, class or module binds itself, including those it imports."""

    names: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    """The parameters among them, which callers may write."""
    module_names: set[str] = field(default_factory=set)
    """Names declared `global`."""
    numbers: dict[str, int] = field(default_factory=dict)
    """The names that are not kept, in the order in which they are read."""
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """Name -> module and name within it; the latter is None if the module itself is imported."""


def bindings(nodes: Iterable[ast.AST]) -> Scope:
    """The names bound in the scope of the nodes, excluding the inner scopes of functions, classes and lambdas."""
    scope, lifted = Scope(), set[str]()
    for node in _in_scope(nodes):
        if isinstance(node, Import):
            scope.imports |= dict(_imports(node))
        elif isinstance(node, _Nested):
            scope.names.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            scope.names.add(node.id)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            lifted |= set(node.names)
            scope.module_names |= set(node.names) if isinstance(node, ast.Global) else set()
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            scope.names.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            scope.names.add(node.rest)
    scope.names -= lifted
    return scope


def _in_scope(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    for node in nodes:
        yield node
        if isinstance(node, Comprehension):
            yield from (part.target for part in ast.walk(node) if isinstance(part, ast.NamedExpr))
        elif not isinstance(node, _Nested | ast.Lambda):
            yield from _in_scope(ast.iter_child_nodes(node))


def _imports(node: Import) -> Iterator[tuple[str, tuple[str, str | None]]]:
    """Each name that an import binds, with its module and the name in that module."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            yield alias.asname or alias.name, (node.module or "", alias.name)
        elif alias.asname:
            yield alias.asname, (alias.name, None)
        else:
            top = alias.name.split(".")[0]
            yield top, (top, None)


def parameters_of(arguments: ast.arguments) -> Scope:
    """The names that the parameters of a function bind."""
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    names = {argument.arg for argument in listed if argument is not None}
    return Scope(set(names), names)


def list_members(body: Iterable[ast.AST]) -> list[str]:
    """The names that statements of a class bind, in order."""
    nodes = [node for node in _in_scope(body) if isinstance(node, _Nested | ast.Name)]
    return [node.id if isinstance(node, ast.Name) else node.name for node in nodes if not _is_read(node)]


def _is_read(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)


def visible(scopes: list[Scope], name: str) -> tuple[int, Scope] | None:
    """The innermost of nested scopes that binds the name, with its depth; None if it is a name of the module."""
    for depth, scope in reversed([*enumerate(scopes)]):
        if name in scope.module_names:
            return None
        if name in scope.names or name in scope.imports:
            return depth, scope
    return None
