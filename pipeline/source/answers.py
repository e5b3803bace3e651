"""Answers to doubts about a source: those of the settings, those that an earlier run assumed, and suggestions taken.

An answer is the value of a setting of the section [dataset], named like `class_level` or `predictions.logits`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from lake.errors import UsageError
from pipeline.config.dataset import DatasetSettings
from pipeline.source.notes import Doubt


@dataclass(frozen=True)
class Assumed:
    """A suggestion that was taken for a doubt. Stored with the run, so that no later refresh asks again."""

    setting: str
    value: Any
    sentence: str
    """The doubt that it answers."""


def to_answers(rows: Iterable[Mapping[str, str]]) -> list[Assumed]:
    """The answers that the column `assumed` of a run holds."""
    return [Assumed(row["setting"], json.loads(row["value"]), row["sentence"]) for row in rows]


def is_given(own: DatasetSettings, setting: str) -> bool:
    """Whether the settings name a value of the setting themselves."""
    section: Any = own
    *parents, last = setting.split(".")
    for name in parents:
        section = getattr(section, name)
    return section is not None and last in section.model_fields_set


def with_answers(own: DatasetSettings, answers: Iterable[Assumed]) -> DatasetSettings:
    """The settings with the answers filled in; tables such as `labels` are extended, and what they hold stays.

    Raises `UsageError` if a stored answer is no longer a valid value.
    """
    values = own.model_dump(exclude_unset=True)
    for answer in answers:
        *parents, last = answer.setting.split(".")
        section = values
        for name in parents:
            section[name] = section.get(name) or {}
            section = section[name]
        given = section.get(last)
        section[last] = answer.value | given if isinstance(given, dict) else answer.value if given is None else given
    try:
        return DatasetSettings(**values)
    except ValidationError as error:
        names = ", ".join(".".join(map(str, place["loc"])) for place in error.errors())
        raise UsageError(
            f"[dataset]: what an earlier run assumed for {names} is not valid any more: set it yourself."
        ) from None


def without_answers(own: DatasetSettings, answers: Iterable[Assumed]) -> DatasetSettings:
    """The settings without the values that are equal to an answer: as they were before these were written down."""
    values = own.model_dump(exclude_unset=True, mode="json")
    for answer in answers:
        *parents, last = answer.setting.split(".")
        section = values
        for name in parents:
            section = section.get(name) or {}
        if section.get(last) == answer.value:
            del section[last]
    return DatasetSettings(**values)


def ask(source: str, doubts: list[Doubt], *, where: str) -> UsageError:
    """The error that asks: every doubt with the setting that answers it."""
    points = "one point" if len(doubts) == 1 else f"{len(doubts)} points"
    asked = [f"{number}. {doubt.sentence}\n   {suggest(doubt)}" for number, doubt in enumerate(doubts, 1)]
    return UsageError(
        f"The dataset {source} is unclear in {points}, which would change the results:\n"
        + "\n".join(asked)
        + f"\nAnswer in {where}, or run the command again with --yes to take the suggestions. Nothing was computed."
    )


def suggest(doubt: Doubt) -> str:
    """The suggestion as a line of the settings file, after its section if it is not [dataset] itself."""
    *parents, last = doubt.setting.split(".")
    section = ".".join(["dataset", *parents])
    return f"[{section}]  {last} = {to_toml(doubt.suggestion)}"


def to_toml(value: Any) -> str:
    """A value on one line of TOML: text, number, truth value, list, or table."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {to_toml(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(to_toml, value)) + "]"
    return json.dumps(value) if isinstance(value, bool | int | float) else _quote(str(value))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quote(name)


def _quote(text: str) -> str:
    """A basic string of TOML, which is one of JSON that also escapes DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
