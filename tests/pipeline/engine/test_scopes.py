"""The hash of a stage's code tells its variables apart and does not depend on what they are called."""

import re

import pytest

from pipeline.engine.code_hash import hash_definition
from pipeline.engine.sources import Definition

BODY = """
def measure(table, limit):
    first = table.first(limit=limit)
    def scale(rows):
        largest = max(rows)
        return [row / largest for row in rows]
    for number, part in enumerate(scale(first)):
        try:
            first = part - number
        except ValueError as error:
            print(error)
        match part:
            case [head, *rest]:
                print(head, rest)
            case {"key": _, **others}:
                print(others)
    return first
"""


def hash_body(text: str, **modules: str) -> str:
    sources = {"pipeline": "", "pipeline.stage": text, **{f"pipeline.{name}": code for name, code in modules.items()}}
    return hash_definition(Definition("pipeline.stage", "measure"), sources.get)


@pytest.mark.parametrize(
    "name", ["first", "scale", "largest", "row", "number", "part", "error", "head", "rest", "others"]
)
def test_the_name_of_a_local_variable_leaves_the_hash(name: str) -> None:
    another = re.sub(rf"(?<!\.)\b{name}\b", "renamed", BODY)
    assert another != BODY
    assert hash_body(another) == hash_body(BODY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("part - number", "number - part"),
        ("part - number", "first - number"),
        ("row / largest for", "largest / row for"),
        ("print(head, rest)", "print(rest, head)"),
        ("print(error)", "print(part)"),
        ("print(others)", "print(head)"),
        ("table.first(", "table.last("),
        ("(limit=limit)", "(most=limit)"),
        ("def measure(table, limit)", "def measure(limit, table)"),
        ("return first", "return number"),
    ],
)
def test_another_variable_another_field_or_another_keyword_changes_the_hash(old: str, new: str) -> None:
    assert BODY.count(old) == 1
    assert hash_body(BODY.replace(old, new)) != hash_body(BODY)


LOCAL = "from pipeline.names import {name}\n\ndef measure(table):\n    {body}\n"
NAMES = "def shade():\n    return {}\n"


@pytest.mark.parametrize(
    ("body", "reaches"),
    [
        ("return shade()", True),
        ("shade = 1; return shade", False),
        ("return [shade for shade in table]", False),
        ("return [shade for row in shade()]", True),
        ("rows = [shade for shade in table]; return shade()", True),
        ("return [row for shade in table for row in shade]", False),
        ("return {shade: 1 for shade in table}", False),
        ("return lambda shade: shade", False),
        ("return lambda row: shade()", True),
        ("return [row for row in table if (shade := row)]", False),
        ("from operator import add as shade; return shade", False),
        ("def within():\n        shade = 2\n        return shade\n    return within", False),
        ("def within():\n        return shade()\n    return within", True),
        ("def within(shade):\n        return shade\n    return within", False),
        ("global shade; shade = 1; return shade", True),
        ("try:\n        pass\n    except OSError as shade:\n        return shade", False),
        ("match table:\n        case [shade, *rest]:\n            return shade", False),
    ],
)
def test_a_name_reaches_a_definition_where_nothing_nearer_has_it(body: str, reaches: bool) -> None:
    stage = LOCAL.format(name="shade", body=body)
    first, second = (hash_body(stage, names=NAMES.format(value)) for value in (1, 2))
    assert (first != second) == reaches
