"""Settings as text in flags and environment variables: names, lists and tables."""

import json
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from lake.errors import UsageError

PREFIX = "LATENTLAKE_"
ELSEWHERE = ("CONFIG", "ALLOWED_HOSTS", "ALLOWED_USERS", "READ_ONLY", "METRICS_TOKEN")
"""Variables that are not settings of a refresh: the settings file, and those that the pages read."""
READERS: tuple[Callable[[str], Any], ...] = (json.loads, lambda text: tomllib.loads(f"value = {text}")["value"])


def parse(value: Any) -> Any:
    """Parse text that is a list or table in JSON or TOML; return anything else unchanged."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        for reader in READERS:
            with suppress(ValueError, RecursionError):
                return reader(value)
    return value


def split(value: Any) -> Any:
    """Like `parse`, and also split "a, b" into a list."""
    parsed = parse(value)
    if not isinstance(parsed, str) or parsed.lstrip().startswith("["):
        return parsed
    return [part.strip() for part in parsed.split(",") if part.strip()]


def read_flags(model: type[BaseModel], flags: Mapping[str, Any], texts: Iterable[str]) -> dict[str, Any]:
    """Flags combined with `--set name=value` texts; settings of a section are named like `dataset.size`.

    Raises `UsageError` naming an unknown setting.
    """
    values, known_names = dict(flags), list_names(model)
    for name, equals, value in (text.partition("=") for text in texts):
        if not equals:
            raise UsageError(f"--set {name}: expected name=value with a name that `latentlake config` lists.")
        if name not in known_names:
            raise UsageError(f"--set {name}: {say_unknown(model, name)}. `latentlake config` lists all settings.")
        *sections, last = name.split(".")
        place = values
        for section in sections:
            if not isinstance(place.get(section), dict):
                place[section] = {}
            place = place[section]
        place[last] = parse(value)
    return values


class Environment(EnvSettingsSource):
    """Environment variables of settings; text that is not a list or table is left for the setting to validate."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ARG002
        """Called by pydantic for everything that is not a number or text."""
        return parse(value)


def find_variable(path: Iterable[str]) -> str | None:
    """The environment variable that sets a setting, or else one of its parent sections; None if there is none."""
    names, variables = [*path], {key.upper() for key in os.environ}
    longest_first = (PREFIX + "__".join(names[:length]).upper() for length in range(len(names), 0, -1))
    return next((name for name in longest_first if name in variables), None)


def find_unknown_variables(model: type[BaseModel]) -> Iterator[str]:
    """A message for each variable that has our prefix but is unknown."""
    known_names = [name.upper() for name in (*model.model_fields, *ELSEWHERE)]
    for name in sorted(os.environ):
        prefix, _, rest = name.upper().partition("_")
        if f"{prefix}_" == PREFIX and rest.partition("__")[0] not in known_names and not rest.startswith("TEST_"):
            closest = _find_nearest(rest, known_names)
            hint = f"; the closest setting is {PREFIX}{closest}" if closest else ""
            yield f"The environment variable {name} is not known to latentlake and has no effect{hint}."


def say_unknown(model: type[BaseModel], name: str) -> str:
    """State that a setting (such as `seed` or `dataset.source`) does not exist, and name the closest one."""
    closest = _find_nearest(name, list_names(model))
    return f"there is no such setting; the closest is {closest}" if closest else "there is no such setting"


def list_names(model: type[BaseModel]) -> list[str]:
    """All settings; those of a section are named like `dataset.source`."""
    sections = {name: _section(field.annotation) for name, field in model.model_fields.items()}
    below = [f"{name}.{inner}" for name, section in sections.items() if section for inner in list_names(section)]
    return [*sections, *below]


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model of a setting that is a section or a list of sections."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((section for argument in get_args(annotation) if (section := _section(argument))), None)


def _find_nearest(name: str, names: list[str]) -> str | None:
    return next(iter(get_close_matches(name, names, n=1)), None)
