"""Two programs that compute different values have different hashes: classes, errors, lambdas and reports."""

import ast
from pathlib import Path

import pytest

from pipeline.engine.code_hash import hash_definition
from pipeline.engine.sources import Definition
from tests.support.paths import REPOSITORY


def hash_body(text: str, **modules: str) -> str:
    sources = {"pipeline": "", "pipeline.stage": text, **{f"pipeline.{name}": code for name, code in modules.items()}}
    return hash_definition(Definition("pipeline.stage", "measure"), sources.get)


NESTED_CLASSES = """
def measure():
    class A:
        v = 1
    class B:
        v = 2
    return A.v
"""
LOCALS_AND_MEMBERS = """
def measure():
    a, b = 1, 2
    class A:
        a = 10
        b = 20
    return A.a
"""
METHODS = """
class C:
    n: int = 0
    def a(self):
        return 1
    def b(self):
        return 2
def measure():
    return C().a() - C().b()
"""
OVERRIDES = """
class B:
    def size(self):
        return 1
class X(B):
    n = 0
    def size(self):
        return 2
class Y(B):
    n = 0
def measure():
    return X().size(), Y().size()
"""
FIELDS = """
from dataclasses import dataclass
from lake import errors
from pipeline.engine import progress
@dataclass
class A:
    errors: int
    progress: int
def measure():
    return A(1, 2).errors
"""
CALLED_BACK = """
import html.parser
from queue import Queue
class A(html.parser.HTMLParser):
    n = 0
class B(A):
    def handle_data(self, data):
        print(1)
class Q(Queue[int]):
    def _put(self, item):
        self.queue.append(2)
def measure():
    return B().feed("a"), Q().put(0)
"""
PATTERN = """
class C:
    @property
    def count(self):
        return 1
def measure():
    match C():
        case C(count=k):
            return k
"""
ALIASES = """
class C:
    def _get(self):
        return 1
    go = _get
    size = property(_get)
def measure():
    return C().go(), C().size
"""
RAISED = """
def go():
    raise ValueError("a message")
def measure():
    try:
        go()
    except ValueError:
        return 1
    except KeyError:
        return 2
"""
REPORTED = """
def measure(progress):
    rows, x = [1, 2], 0
    progress.task(rows[0])
    progress.say(f"{x}")
    return rows, x
"""
LAMBDAS = """
from pipeline.names import shade, tint
def measure(key=lambda shade: 0):
    a, b = 1, 2
    return (lambda a=a: a)(), (lambda tint=tint: tint())(), shade()
"""
NAMES = "def shade():\n    return 1\n\ndef tint():\n    return 2\n"
GLOBAL = """
X = 1
def measure():
    X = 0
    def inner():
        global X
        return X
    return inner()
"""
CONSTANT = """
from typing import ClassVar
from pydantic import BaseModel
class Settings(BaseModel):
    scale: ClassVar[int] = 3
    side: int = 4
    @property
    def area(self):
        return self.scale * self.side
def measure(settings: Settings):
    return settings.area
"""


@pytest.mark.parametrize(
    ("body", "old", "new"),
    [
        (NESTED_CLASSES, "return A.v", "return B.v"),
        (LOCALS_AND_MEMBERS, "a = 10\n        b = 20", "b = 10\n        a = 20"),
        (METHODS, "def a(self):\n        return 1\n    def b", "def b(self):\n        return 1\n    def a"),
        (OVERRIDES, "    def size(self):\n        return 2\nclass Y(B):\n    n = 0\n", None),
        (FIELDS, "errors: int\n    progress: int", "progress: int\n    errors: int"),
        (CALLED_BACK, "print(1)", "print(2)"),
        (CALLED_BACK, "append(2)", "append(3)"),
        (PATTERN, "return 1", "return 2"),
        (ALIASES, "return 1", "return 2"),
        (RAISED, "raise ValueError", "raise KeyError"),
        (REPORTED, "task(rows[0])", "task(rows.pop())"),
        (REPORTED, 'say(f"{x}")', 'say(f"{(x := 1)}")'),
        (LAMBDAS, "a, b = 1, 2", "b, a = 1, 2"),
        (GLOBAL, "X = 1", "X = 2"),
        (CONSTANT, "= 3", "= 4"),
    ],
)
def test_another_value_has_another_hash(body: str, old: str, new: str | None) -> None:
    assert body.count(old) == 1
    moved = "class Y(B):\n    n = 0\n    def size(self):\n        return 2\n"
    assert hash_body(body.replace(old, moved if new is None else new), names=NAMES) != hash_body(body, names=NAMES)


@pytest.mark.parametrize("value", ["1", "2"])
def test_a_lambda_reaches_what_its_defaults_name(value: str) -> None:
    edited = NAMES.replace(f"return {value}", "return 3")
    assert hash_body(LAMBDAS, names=edited) != hash_body(LAMBDAS, names=NAMES)


@pytest.mark.parametrize(
    ("body", "old", "new"),
    [
        (RAISED, '"a message"', 'f"another {1 + 1}"'),
        (REPORTED, 'say(f"{x}")', 'say(f"now {x}")'),
        (CONSTANT, "side: int = 4", "side: int = 5"),
        (METHODS, "class C:\n", 'class C:\n    """What it is."""\n\n'),
        (METHODS, "    def b(self)", "    def unused(self):\n        return 3\n    def b(self)"),
    ],
)
def test_the_same_value_has_the_same_hash(body: str, old: str, new: str) -> None:
    assert body.count(old) == 1
    assert hash_body(body.replace(old, new), names=NAMES) == hash_body(body, names=NAMES)


MAKES_ERRORS = """
def fail(name) -> {error}:
    return {error}("{message}")
def measure(name):
    raise fail(name)
"""


def test_of_a_function_that_makes_an_error_only_the_type_counts() -> None:
    first = hash_body(MAKES_ERRORS.format(error="ValueError", message="a"))
    assert first == hash_body(MAKES_ERRORS.format(error="ValueError", message="b"))
    assert first != hash_body(MAKES_ERRORS.format(error="KeyError", message="a"))


BUILTINS = {"locals", "globals", "eval", "exec"}
IMPORTED = {"attrgetter", "methodcaller", "import_module"}
GUARDS = {"TYPE_CHECKING", "__name__ == '__main__'"}


def _blind_spots(tree: ast.Module) -> list[str]:
    """What the hash cannot follow: names by text, imports under conditions, and names of a module bound twice."""
    found = [ast.unparse(node) for node in ast.walk(tree) if _is_blind(node)]
    bound: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.For | ast.While | ast.With | ast.Try):
            found.append(ast.unparse(node))
        if isinstance(node, ast.If) and ast.unparse(node.test) not in GUARDS:
            found.append(ast.unparse(node))
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            bound += [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound += [alias.asname or alias.name for alias in node.names]
    return found + sorted({name for name in bound if bound.count(name) > 1})


def _is_blind(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or any(alias.name == "*" for alias in node.names)
    called = node.func if isinstance(node, ast.Call) else None
    if isinstance(called, ast.Attribute):
        return called.attr in IMPORTED
    return isinstance(called, ast.Name) and called.id in BUILTINS | IMPORTED


@pytest.mark.parametrize(
    "text", ["from x import *", "from . import x", "if A:\n    import x", "a = 1\na = 2", "eval(a)"]
)
def test_what_the_hash_cannot_follow_is_found(text: str) -> None:
    assert _blind_spots(ast.parse(text))


@pytest.mark.parametrize("top", ["lake", "pipeline"])
def test_the_code_has_nothing_that_the_hash_cannot_follow(top: str) -> None:
    paths = sorted(Path(REPOSITORY / top).rglob("*.py"))
    found = {str(path): spots for path in paths if (spots := _blind_spots(ast.parse(path.read_text("utf-8"))))}
    assert len(paths) > 50 and found == {}
