"""Hash of the code that a stage runs: its function and every definition of this project that the function reaches.

The hash is computed from syntax trees without comments, docstrings, formatting, error messages and reported lines, the
names and locations of modules and definitions, and the names of local variables. A stage is therefore recomputed after
an edit anywhere below it, but not when code is moved, renamed or documented better. Names of parameters, fields and
methods count, because callers, tables and files may use them as text.

A definition is a function, class or constant of a module; it reaches whatever its names resolve to. A class contributes
its fields and special methods, plus those other methods whose name is accessed as an attribute in reached code:
annotating an argument therefore brings in the methods called on it. A class that derives from, or is called back by,
something outside the project (an `nn.Module`) contributes all of its methods.
"""

import ast
import hashlib
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.abc import InspectLoader
from pathlib import Path
from typing import Any

from lake import errors
from lake.contracts.tables import make_frame
from pipeline.engine import consoles, log_setup, progress
from pipeline.engine.scopes import Comprehension, Function, Import, Scope, bindings, parameters_of

OURS = ("lake", "pipeline")
INERT = frozenset(
    {
        *(module.__name__ for module in (consoles, errors, log_setup, progress)),
        f"{make_frame.__module__}.{make_frame.__name__}",
    }
)
"""Code without effect on values: progress, logs and error messages, and the function that applies table contracts."""
SETTINGS_BASES = ("pydantic.BaseModel", "pydantic_settings.BaseSettings")
"""A settings class contributes no fields: each stage names the settings that its values depend on."""
REPORTS = ("say", "task")
"""Methods of `Progress`: their first argument is only shown."""
CALLED_BY_NAME_ONLY = ("typing.Protocol", "typing.Generic", *SETTINGS_BASES)
UNREAD = ("ctx", "kind", "type_comment", "type_ignores")
BindsByText = ast.ExceptHandler | ast.MatchAs | ast.MatchStar | ast.MatchMapping
Read = Callable[[str], str | None]


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


def hash_code(function: Callable[..., object]) -> str:
    """Hash of a project function and everything it reaches in the project; 16 hex digits.

    Raises `ValueError` if the function is not defined at the top level of a project module.
    """
    return hash_definition(Definition(function.__module__, function.__qualname__))


@cache
def hash_definition(root: Definition, read: Read | None = None) -> str:
    """Hash of a definition; `read` maps a module name to its source, or to None if there is no such module."""
    return Closure(sources_of(read or read_source)).hash(root)


@cache
def sources_of(read: Read) -> "Sources":
    """The project modules as returned by `read`, each parsed once."""
    return Sources(read)


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
            if not (bound.names or bound.imports or _is_text(statement)):
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
        if not _is_ours(module):
            return External(f"{module}.{name}" if name else module)
        if name is None:
            return Module(module)
        target = self.resolve(module, name)
        if target is None and self.find(f"{module}.{name}"):
            return Module(f"{module}.{name}")
        return target


class Closure:
    """The definitions that a root reaches; `numbers` numbers them in the order of discovery."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.numbers: dict[Definition, int] = {}
        self._waiting: list[Definition] = []
        self._methods: list[tuple[str, str, Function]] = []
        """Module, name and tree of methods whose name has not been mentioned in reached code so far."""
        self._mentioned: set[str] = set()
        self._modules: set[str] = set()
        self._read: list[Any] = []

    def hash(self, root: Definition) -> str:
        """The hash of a root. Call it only once."""
        source = self._sources.find(root.module) if _is_ours(root.module) else None
        if source is None or root.name not in source.definitions:
            raise ValueError(f"{root.module}.{root.name} is not defined at the top of a module of this project.")
        self.refer(root)
        while self._waiting:
            while self._waiting:
                self._add(self._waiting.pop(0))
            self._add_methods()
        return hashlib.sha256(json.dumps(self._read).encode()).hexdigest()[:16]

    def refer(self, target: Target) -> Any:
        """The representation of a reference in the tree; marks its target as reached."""
        if isinstance(target, External):
            return ["external", target.path]
        if isinstance(target, Module):
            source = None if target.name in INERT else self._sources.find(target.name)
            return [
                "module",
                [self.refer(Definition(target.name, name)) for name in source.definitions] if source else 0,
            ]
        if target.module in INERT or f"{target.module}.{target.name}" in INERT:
            return ["inert"]
        if target not in self.numbers:
            self.numbers[target] = len(self.numbers)
            self._waiting.append(target)
        return ["ours", self.numbers[target]]

    def mention(self, name: str) -> None:
        """Record a name accessed as an attribute, which may be a method of a reached class."""
        self._mentioned.add(name)

    def _add(self, definition: Definition) -> None:
        source = self._sources.find(definition.module)
        assert source is not None
        if source.name not in self._modules:
            self._modules.add(source.name)
            self._read.append(self._dump(source.name, source.effects))
        for statement in source.definitions[definition.name]:
            if isinstance(statement, ast.ClassDef):
                self._add_class(source.name, statement)
            else:
                self._read.append(self._dump(source.name, statement))

    def _add_class(self, module: str, tree: ast.ClassDef) -> None:
        reader = _Reader(self._sources, module, self)
        bases = [reader.target(base) for base in tree.bases]
        external = {base.path for base in bases if isinstance(base, External)}
        is_settings = not external.isdisjoint(SETTINGS_BASES)
        methods = [node for node in tree.body if isinstance(node, Function)]
        fields = [] if is_settings else [node for node in tree.body if not isinstance(node, Function)]
        self._read.append(reader.dump([*tree.bases, *tree.keywords, *tree.decorator_list, *fields]))
        called_back = not external <= set(CALLED_BY_NAME_ONLY)
        for method in methods:
            if called_back or (_is_special(method.name) and not is_settings):
                self._read.append(reader.dump(method))
            else:
                self._methods.append((module, method.name, method))

    def _add_methods(self) -> None:
        """Add the waiting methods that have been mentioned by now. Called only when no definition is waiting."""
        named = [method for method in self._methods if method[1] in self._mentioned]
        self._methods = [method for method in self._methods if method[1] not in self._mentioned]
        for module, _, tree in named:
            self._read.append(self._dump(module, tree))
        if named and not self._waiting:
            self._add_methods()

    def _dump(self, module: str, node: ast.AST | list[ast.stmt]) -> Any:
        reader = _Reader(self._sources, module, self)
        return reader.dump_definition(node) if isinstance(node, ast.AST) else reader.dump(node)


class _Reader:
    """Dump a tree as nested lists in which names are replaced by what they resolve to."""

    def __init__(self, sources: Sources, module: str, closure: Closure) -> None:
        self._sources, self._module, self._closure = sources, module, closure
        self._scopes: list[Scope] = []

    def dump_definition(self, node: ast.AST) -> Any:
        """Dump a module-level definition without its name, so that renaming it does not change the hash."""
        return self._function(node, "") if isinstance(node, Function) else self.dump(node)

    def dump(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.dump(part) for part in node if not _is_text(part) and not isinstance(part, Import)]
        if isinstance(node, ast.Constant):
            return ["Constant", repr(node.value)]
        if isinstance(node, ast.Name | ast.Attribute):
            return self._reference(node)
        if isinstance(node, ast.Raise):
            return ["Raise"]
        if isinstance(node, ast.Assert):
            return ["Assert", self.dump(node.test)]
        if isinstance(node, Function):
            return self._function(node, self._name(node.name))
        if isinstance(node, ast.Lambda):
            return ["Lambda", *self._within(parameters_of(node.args), node.args, node.body)]
        if isinstance(node, Comprehension):
            return self._comprehension(node)
        return self._fields(node) if isinstance(node, ast.AST) else node

    def target(self, node: ast.AST) -> Target | None:
        """Resolve a plain or dotted name; None for locals and builtins."""
        if isinstance(node, ast.Name):
            return self._lookup(node.id)
        if not isinstance(node, ast.Attribute):
            return None
        owner = self.target(node.value)
        if isinstance(owner, External):
            return External(f"{owner.path}.{node.attr}")
        return self._sources.follow(owner.name, node.attr) if isinstance(owner, Module) else None

    def _reference(self, node: ast.Name | ast.Attribute) -> Any:
        target = self.target(node)
        if target is not None:
            return self._closure.refer(target)
        if isinstance(node, ast.Name):
            return self._name(node.id)
        self._closure.mention(node.attr)
        return ["Attribute", self.dump(node.value), node.attr]

    def _name(self, name: str) -> Any:
        """A name that is not of a module: a local variable by its scope and number, a parameter or builtin as it is."""
        for depth, scope in reversed([*enumerate(self._scopes)]):
            if name in scope.names:
                if name in scope.parameters:
                    break
                return ["Local", depth, scope.numbers.setdefault(name, len(scope.numbers))]
        return ["Name", name]

    def _lookup(self, name: str) -> Target | None:
        for scope in reversed(self._scopes):
            if name in scope.imports:
                return self._sources.follow(*scope.imports[name])
            if name in scope.names:
                return None
        return self._sources.resolve(self._module, name)

    def _function(self, node: Function, name: Any) -> Any:
        outside = [node.decorator_list, node.returns, node.args]
        scope = bindings(node.body)
        scope.parameters = parameters_of(node.args).parameters
        scope.names |= scope.parameters
        return [type(node).__name__, name, *map(self.dump, outside), *self._within(scope, node.body)]

    def _comprehension(self, node: Comprehension) -> Any:
        first = self.dump(node.generators[0].iter)
        scope = bindings([generator.target for generator in node.generators])
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        inner = [[g.target, g.ifs, *([] if g is node.generators[0] else [g.iter])] for g in node.generators]
        return [type(node).__name__, first, *self._within(scope, *parts, *inner)]

    def _within(self, scope: Scope, *nodes: Any) -> list[Any]:
        self._scopes.append(scope)
        dumped = [self.dump(node) for node in nodes]
        self._scopes.pop()
        return dumped

    def _fields(self, node: ast.AST) -> Any:
        """A node as its type and its non-empty fields, so that all Python versions give the same result."""
        given = {name: value for name, value in ast.iter_fields(node) if name not in UNREAD and value not in (None, [])}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            for text in (part.value for part in node.args if isinstance(part, ast.Constant)):
                self._closure.mention(str(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in REPORTS:
            given["args"] = node.args[1:]
        if isinstance(node, BindsByText):
            given |= {name: self._name(given[name]) for name in ("name", "rest") if name in given}
        return [type(node).__name__, *([name, self.dump(value)] for name, value in given.items())]


def _is_ours(module: str) -> bool:
    return module.split(".")[0] in OURS


def _is_text(node: object) -> bool:
    """Whether a statement is only a string, such as a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
