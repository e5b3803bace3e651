"""An edit anywhere below a stage changes the hash of its code; a docstring, a moved file or a new name does not."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from pipeline.data.dataset import Dataset
from pipeline.engine import code_hash
from pipeline.engine.code_hash import hash_code, hash_definition
from pipeline.engine.sources import Definition, read_source
from pipeline.stages.tables import neighbor_table, train_model
from tests.support.paths import REPOSITORY

Modules = dict[str, str]
STAGE = Definition("pipeline.stage", "measure")
PLANTED: Modules = {
    "pipeline": "",
    "pipeline.stage": '''
"""What a stage does."""
import numpy as np
from lake import vectors
from pipeline import depth as deep, progress
from pipeline.data import Data, UNUSED
from pipeline.constants import SCALE

TOLERANCE: float = 0.5
"""How near."""

def measure(data: Data, progress: progress.Progress):
    """Measures."""
    from pipeline.late import finish
    if not data:
        raise ValueError(f"No data: {explain(data)}")
    progress.say("measuring")
    parts = [deep.descend(row, SCALE) for row in data.rows()]
    return finish(np.stack(parts), TOLERANCE)

def explain(data):
    return "there is none"

def neighbour_of_no_stage():
    return deep.unreached()
''',
    "pipeline.depth": """
import functools
from pipeline.deepest import bottom as ground

@functools.cache
def descend(row, scale):
    return ground(row) * scale

def unreached():
    return 1
""",
    "pipeline.deepest": """
from lake.search.vectors import to_unit

def bottom(row, depth=3):
    return to_unit(row) if depth == 0 else bottom(row, depth - 1)
""",
    "pipeline.data": """
from dataclasses import dataclass
from pipeline.deepest import bottom

UNUSED = 1

@dataclass
class Data:
    first: int = 0

    def __len__(self):
        return 5

    def rows(self):
        return [self.count] * len(self)

    @property
    def count(self):
        return 7

    def never_called(self):
        return 9
""",
    "pipeline.constants": "SCALE = 2.0\nOTHER = 3.0\n",
    "pipeline.late": "def finish(stack, tolerance):\n    return stack + tolerance\n",
    "pipeline.engine.progress": "class Progress:\n    def say(self, text):\n        print(text)\n",
    "lake": "",
    "lake.search.vectors": "def to_unit(row):\n    return row / (row**2).sum() ** 0.5\n",
}


def hashed(modules: Modules, root: Definition = STAGE) -> str:
    return hash_definition(root, modules.get)


def edited(module: str, old: str, new: str) -> Modules:
    assert PLANTED[module].count(old) == 1, f"{old!r} once in {module}"
    return PLANTED | {module: PLANTED[module].replace(old, new)}


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("pipeline.stage", "TOLERANCE: float = 0.5", "TOLERANCE: float = 0.6"),
        ("pipeline.stage", "np.stack", "np.vstack"),
        ("pipeline.stage", "import numpy as np", "import jax.numpy as np"),
        ("pipeline.stage", "if not data", "if data"),
        ("pipeline.stage", "for row in data.rows()", "for row in data.rows() if row"),
        ("pipeline.depth", "* scale", "/ scale"),
        ("pipeline.depth", "@functools.cache", "@functools.lru_cache"),
        ("pipeline.deepest", "depth=3", "depth=4"),
        ("pipeline.deepest", "depth - 1", "depth - 2"),
        ("lake.search.vectors", "0.5", "0.25"),
        ("pipeline.data", "return 5", "return 6"),
        ("pipeline.data", "first: int = 0", "first: int = 1"),
        ("pipeline.data", "[self.count]", "[self.count + 1]"),
        ("pipeline.data", "return 7", "return 8"),
        ("pipeline.data", "@property", "@functools.cached_property"),
        ("pipeline.constants", "SCALE = 2.0", "SCALE = 2"),
        ("pipeline.late", "stack + tolerance", "stack - tolerance"),
        ("pipeline.late", "def finish", "print('imported')\n\ndef finish"),
    ],
)
def test_an_edit_anywhere_below_changes_the_hash(module: str, old: str, new: str) -> None:
    assert hashed(edited(module, old, new)) != hashed(PLANTED)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("pipeline.stage", '"""What a stage does."""', '"""What a stage does, told better."""'),
        ("pipeline.stage", '"""Measures."""', "# measures"),
        ("pipeline.stage", '"""How near."""', ""),
        (
            "pipeline.stage",
            "return finish(np.stack(parts), TOLERANCE)",
            "return (\n  finish(np.stack(parts), TOLERANCE))",
        ),
        ("pipeline.stage", 'say("measuring")', 'say(f"measuring {len(data)} rows")'),
        ("pipeline.stage", "No data: ", "There are no data: "),
        ("pipeline.stage", "there is none", "there is nothing"),
        ("pipeline.stage", "return deep.unreached()", "return 5"),
        ("pipeline.stage", "Data, UNUSED", "Data"),
        ("pipeline.depth", "return 1", "return 2"),
        ("pipeline.data", "return 9", "return 10"),
        ("pipeline.data", "UNUSED = 1", "UNUSED = 2"),
        ("pipeline.constants", "OTHER = 3.0", "OTHER = 4.0"),
        ("pipeline.engine.progress", "print(text)", "print(text, flush=True)"),
    ],
)
def test_what_changes_no_value_leaves_the_hash(module: str, old: str, new: str) -> None:
    assert hashed(edited(module, old, new)) == hashed(PLANTED)


def renamed(*pairs: tuple[str, str]) -> Modules:
    """The planted modules with other words for some words, in names of modules too."""

    def replace(text: str) -> str:
        for old, new in pairs:
            text = text.replace(old, new)
        return text

    return {replace(name): replace(text) for name, text in PLANTED.items()}


@pytest.mark.parametrize(
    ("pairs", "root"),
    [
        ([("pipeline.depth", "pipeline.engine.under"), ("import depth as", "import depth as")], STAGE),
        ([("pipeline.deepest", "pipeline.floor")], STAGE),
        ([("to_unit", "normalize")], STAGE),
        ([("SCALE", "FACTOR"), ("TOLERANCE", "SLACK"), ("bottom", "lowest")], STAGE),
        ([("Data,", "Table,"), ("data: Data", "data: Table"), ("class Data:", "class Table:")], STAGE),
        ([("def measure", "def gauge")], Definition("pipeline.stage", "gauge")),
        ([("pipeline.stage", "lake.contracts.stages.first")], Definition("lake.contracts.stages.first", "measure")),
    ],
)
def test_a_moved_module_and_a_renamed_definition_leave_the_hash(pairs: list[tuple[str, str]], root: Definition) -> None:
    modules = renamed(*pairs)
    if "pipeline.engine.under" in modules:
        stage = modules["pipeline.stage"].replace("import depth as deep, progress", "import progress")
        modules |= {"pipeline.engine": "", "pipeline.stage": stage.replace("import numpy", MOVED + "import numpy")}
    assert modules != PLANTED
    assert hashed(modules, root) == hashed(PLANTED)


MOVED = "from pipeline.engine import under as deep\n"


def test_a_definition_that_is_cut_in_two_files_leaves_the_hash() -> None:
    source = PLANTED["pipeline.depth"]
    head, tail = source.split("def unreached")
    modules = PLANTED | {
        "pipeline.depth": f"from pipeline.half import descend\n\ndef unreached{tail}",
        "pipeline.half": head,
    }
    assert hashed(modules) == hashed(PLANTED)


CLASSES = """
from torch import nn
from pydantic import BaseModel

class Network(nn.Module):
    def forward(self):
        return 1

class Settings(BaseModel):
    side: int = 32

    @property
    def double(self):
        return self.side * 2

    def unread(self):
        return 3

class Base:
    def inherited(self):
        return 4

class Derived(Base):
    pass
"""
USES = """
from pipeline.classes import Derived, Network, Settings

def measure(settings: Settings, derived: Derived):
    return Network()(settings.double), derived.inherited(), getattr(settings, "side")
"""


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("return 1", "return 2", True),
        ("int = 32", "int = 64", False),
        ("* 2", "* 3", True),
        ("return 3", "return 5", False),
        ("return 4", "return 5", True),
    ],
)
def test_of_a_class_counts_what_is_called_on_it_or_by_others(old: str, new: str, changes: bool) -> None:
    def with_classes(text: str) -> Modules:
        return {"pipeline": "", "pipeline.stage": USES, "pipeline.classes": text}

    assert (hashed(with_classes(CLASSES.replace(old, new))) != hashed(with_classes(CLASSES))) == changes


def overlaid(module: str, edit: Callable[[str], str]) -> Callable[[str], str | None]:
    """Our real sources, one of them edited."""

    def read(name: str) -> str | None:
        text = read_source(name)
        return edit(text) if text is not None and name == module else text

    return read


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("lake.search.vectors", "np.where(length > 0, length, 1)", "np.where(length > 0, length, 2)"),
        ("pipeline.measure.incremental", "argpartition(-similarity_to_new", "argpartition(similarity_to_new"),
        ("pipeline.engine.batch_map", "range(0, max(count, 1), size)", "range(1, max(count, 1), size)"),
    ],
)
def test_a_stage_of_ours_reaches_what_lies_below_it(module: str, old: str, new: str) -> None:
    text = read_source(module)
    assert text is not None and old in text
    root = Definition(neighbor_table.__module__, neighbor_table.__qualname__)
    assert hash_definition(root, overlaid(module, lambda text: text.replace(old, new))) != hash_code(neighbor_table)


def test_what_a_person_reads_trains_nothing_again() -> None:
    """Docstrings of all that a training runs, help of settings, descriptions of columns, progress: all edited."""
    root = Definition(train_model.__module__, train_model.__qualname__)

    def reword(name: str) -> str | None:
        text = read_source(name)
        if text is None:
            return None
        text = text.replace('description="', 'description="Namely: ').replace('"""', '"""Told better. ', 1)
        return (
            text.replace("def task(", "def another(self) -> None: ...\n\n    def task(") if "progress" in name else text
        )

    assert hash_definition(root, reword) == hash_code(train_model)


@pytest.mark.parametrize("method", ["rows", "__len__"])
def test_a_training_reaches_the_dataset_it_reads(method: str) -> None:
    text = read_source(Dataset.__module__)
    assert text is not None
    tree = ast.parse(text)
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == method]
    found[0].body = ast.parse("print('edited')").body
    root = Definition(train_model.__module__, train_model.__qualname__)
    assert hash_definition(root, overlaid(Dataset.__module__, lambda _: ast.unparse(tree))) != hash_code(train_model)


@pytest.mark.long
def test_every_process_comes_to_the_same_hash() -> None:
    """Names are kept in sets, whose order is another in each process."""
    program = (
        "from pipeline.checks.run import check_methods; from pipeline.engine.code_hash import hash_code; "
        "print(hash_code(check_methods))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=REPOSITORY,
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    }
    assert len(seen) == 1


MODULE_AS_A_VALUE = {
    "pipeline": "",
    "pipeline.stage": "from pipeline import names\n\ndef measure(table):\n    return vars(names)\n",
    "pipeline.names": "ONE, TWO = 1, 2\n\ndef three():\n    return 3\n",
}


@pytest.mark.parametrize(("old", "new"), [("1, 2", "1, 4"), ("return 3", "return 5")])
def test_of_a_module_that_is_a_value_everything_counts(old: str, new: str) -> None:
    edited = MODULE_AS_A_VALUE | {"pipeline.names": MODULE_AS_A_VALUE["pipeline.names"].replace(old, new)}
    assert hashed(edited) != hashed(MODULE_AS_A_VALUE)


def test_what_is_not_at_the_top_of_a_module_is_refused() -> None:
    with pytest.raises(ValueError, match=r"is not defined at the top of a module"):
        hash_code(lambda: None)
    with pytest.raises(ValueError, match=r"pipeline\.engine\.code_hash\.nothing is not defined"):
        hash_definition(Definition(code_hash.__name__, "nothing"))
