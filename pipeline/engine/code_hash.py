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
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from lake import errors
from lake.contracts.tables import make_frame
from pipeline.engine import consoles, log_setup, progress
from pipeline.engine.scopes import (
    Comprehension,
    Function,
    Import,
    Scope,
    bindings,
    list_members,
    parameters_of,
    visible,
)
from pipeline.engine.sources import Definition, External, Module, Read, Sources, Target, is_ours, is_text, read_source

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


class Closure:
    """The definitions that a root reaches; `numbers` numbers them in the order of discovery."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.numbers: dict[Definition, int] = {}
        self._waiting: list[Definition] = []
        self._methods: list[tuple[Definition, Function]] = []
        """Methods of reached classes whose name has not been mentioned in reached code so far."""
        self._mentioned: set[str] = set()
        self._modules: set[str] = set()
        self._read: list[Any] = []

    def hash(self, root: Definition) -> str:
        """The hash of a root. Call it only once."""
        source = self._sources.find(root.module) if is_ours(root.module) else None
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
            return ["inert", target.name]
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
                self._add_class(definition, statement)
            else:
                self._read.append(self._dump(source.name, statement))

    def _add_class(self, definition: Definition, tree: ast.ClassDef) -> None:
        reader = _Reader(self._sources, definition.module, self)
        external = set(self._external_bases(definition, tree))
        is_settings = not external.isdisjoint(SETTINGS_BASES)
        methods = [node for node in tree.body if isinstance(node, Function)]
        fields = [node for node in tree.body if not (isinstance(node, Function) or (is_settings and _is_setting(node)))]
        names = {node.id for field in fields for node in ast.walk(field) if isinstance(node, ast.Name)}
        self._mentioned |= names & {method.name for method in methods}
        self._read.append(reader.dump([*tree.bases, *tree.keywords, *tree.decorator_list, *fields]))
        self._read.append(list_members(fields))
        called_back = not external <= set(CALLED_BY_NAME_ONLY)
        for method in methods:
            if called_back or (_is_special(method.name) and not is_settings):
                self._add_method(definition, method)
            else:
                self._methods.append((definition, method))

    def _external_bases(self, definition: Definition, tree: ast.ClassDef) -> Iterator[str]:
        """The classes of other packages from which a class derives, directly or not."""
        reader = _Reader(self._sources, definition.module, self)
        for base in tree.bases:
            target = reader.target(base.value if isinstance(base, ast.Subscript) else base)
            if isinstance(target, External):
                yield target.path
            elif isinstance(target, Definition):
                for statement in self._sources.definition(target):
                    if isinstance(statement, ast.ClassDef):
                        yield from self._external_bases(target, statement)

    def _add_method(self, definition: Definition, tree: Function) -> None:
        """Add a method with its class and name, by which it is called."""
        reader = _Reader(self._sources, definition.module, self)
        self._read.append(["method", self.numbers[definition], reader.dump(tree)])

    def _add_methods(self) -> None:
        """Add the waiting methods that have been mentioned by now. Called only when no definition is waiting."""
        named = [method for method in self._methods if method[1].name in self._mentioned]
        self._methods = [method for method in self._methods if method[1].name not in self._mentioned]
        for definition, tree in named:
            self._add_method(definition, tree)
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
            return [self.dump(part) for part in node if not is_text(part) and not isinstance(part, Import)]
        if isinstance(node, ast.Constant):
            return ["Constant", repr(node.value)]
        if isinstance(node, ast.Name | ast.Attribute):
            return self._reference(node)
        if isinstance(node, ast.Raise):
            return ["Raise", self._raised(node.exc)]
        if isinstance(node, ast.ClassDef):
            return self._class(node)
        if isinstance(node, ast.Assert):
            return ["Assert", self.dump(node.test)]
        if isinstance(node, Function):
            return self._function(node, self._name(node.name))
        if isinstance(node, ast.Lambda):
            return ["Lambda", self.dump(node.args), *self.within(parameters_of(node.args), node.body)]
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
        """A name that is not of a module: a local variable by its scope and number, others as they are."""
        found = visible(self._scopes, name)
        if found is None or name in found[1].kept:
            return ["Name", name]
        depth, scope = found
        return ["Local", depth, scope.numbers.setdefault(name, len(scope.numbers))]

    def _raised(self, error: ast.expr | None) -> Any:
        """The type of the error without its message; of a function that makes the error, the annotated type."""
        kind = error.func if isinstance(error, ast.Call) else error
        target = None if kind is None else self.target(kind)
        if isinstance(target, Definition) and target.module not in INERT:
            made = [node.returns for node in self._sources.definition(target) if isinstance(node, Function)]
            return [ast.unparse(returns) for returns in made if returns] if made else self.dump(kind)
        return self.dump(kind)

    def _class(self, node: ast.ClassDef) -> Any:
        outside = [node.bases, node.keywords, node.decorator_list]
        return ["Class", self._name(node.name), *map(self.dump, [*outside, node.body]), list_members(node.body)]

    def _lookup(self, name: str) -> Target | None:
        found = visible(self._scopes, name)
        if found is None:
            return self._sources.resolve(self._module, name)
        imports = found[1].imports
        return self._sources.follow(*imports[name]) if name in imports else None

    def _function(self, node: Function, name: Any) -> Any:
        outside = [node.decorator_list, node.returns, node.args]
        scope = bindings(node.body)
        scope.kept = parameters_of(node.args).kept
        scope.names |= scope.kept
        return [type(node).__name__, name, *map(self.dump, outside), *self.within(scope, node.body)]

    def _comprehension(self, node: Comprehension) -> Any:
        first = self.dump(node.generators[0].iter)
        scope = bindings([generator.target for generator in node.generators])
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        inner = [[g.target, g.ifs, *([] if g is node.generators[0] else [g.iter])] for g in node.generators]
        return [type(node).__name__, first, *self.within(scope, *parts, *inner)]

    def within(self, scope: Scope, *nodes: Any) -> list[Any]:
        """Dump nodes that see the names of one more scope."""
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
        if isinstance(node, ast.Call) and _is_report(node):
            given["args"] = node.args[1:]
        if isinstance(node, ast.MatchClass):
            for attribute in node.kwd_attrs:
                self._closure.mention(attribute)
        if isinstance(node, BindsByText):
            given |= {name: self._name(given[name]) for name in ("name", "rest") if name in given}
        return [type(node).__name__, *([name, self.dump(value)] for name, value in given.items())]


def _is_report(call: ast.Call) -> bool:
    """Whether a call only shows its first argument, a text or a name, in which no variable is assigned."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr in REPORTS and call.args):
        return False
    text = call.args[0]
    is_text = isinstance(text, ast.Constant | ast.JoinedStr | ast.Name)
    return is_text and not any(isinstance(node, ast.NamedExpr) for node in ast.walk(text))


def _is_setting(node: ast.stmt) -> bool:
    """Whether a statement of a settings class declares a setting or documents one, and not a constant."""
    return is_text(node) or (isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation))


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
