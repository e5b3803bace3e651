"""Readable errors for invalid settings: name, given value, origin, and what is expected."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.config.written import find_variable, say_unknown

EXAMPLES = {
    "phases": "[{resolution = 32, epochs = 5}]",
    "mean": "[0.5, 0.5, 0.5]",
    "std": "[0.25, 0.25, 0.25]",
    "dataset": '{source = "photos"}',
    "dataset.predictions": '{column = "probabilities"}',
    "dataset.groups": '{superclass = {animal = ["cat", "dog"]}}',
}
OTHER_SHAPE = {"list_type", "tuple_type", "dict_type", "model_type", "model_attributes_type", "too_long"}
"""Error types that are best explained by an example."""
A_LIST = '["one", "another"]'


def describe(model: type[BaseModel], error: ValidationError, flags: dict[str, Any]) -> str:
    """Every problem once; `flags` are the values that take precedence over the environment."""
    return "; ".join(dict.fromkeys(_problems(model, error, flags)))


def _problems(model: type[BaseModel], error: ValidationError, flags: dict[str, Any]) -> Iterator[str]:
    problems = error.errors()
    unknown = {problem["loc"][:-1] for problem in problems if problem["type"] == "extra_forbidden"}
    for problem in problems:
        place = problem["loc"]
        if problem["type"] == "missing" and place[:-1] in unknown:
            continue  # it is present under the unknown name
        variable = find_variable(part for part in place if isinstance(part, str)) if place[:1] else None
        origin = f" ({variable})" if variable and place[0] not in flags else ""
        yield _say(model, problem, origin)


def _say(model: type[BaseModel], problem: Any, origin: str) -> str:
    place, kind, value = problem["loc"], problem["type"], problem["input"]
    name = ".".join(part for part in place if isinstance(part, str))
    if kind == "missing" and isinstance(place[-1], str):
        return f"{'.'.join(map(str, place))} is missing{origin}"
    setting = f"{'.'.join(map(str, place))} = {_show(value)}{origin}"
    if kind == "extra_forbidden":
        return f"{setting}: {say_unknown(model, name)}"
    if kind == "missing" or kind in OTHER_SHAPE:
        return f"{name} = {_show(value)}{origin}: expected a value such as {EXAMPLES.get(name, A_LIST)}"
    if kind == "value_error":
        return f"{setting}: {problem['ctx']['error']}" if place else str(problem["ctx"]["error"])
    return f"{setting}: {problem['msg'].lower()}"


def _show(value: Any) -> str:
    return str(value) if isinstance(value, Path) else repr(value)
