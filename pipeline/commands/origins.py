"""The origin of each setting, as shown by `latentlake config`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lake.storage.places import find_file, read_file
from pipeline.config.written import Environment, find_variable
from pipeline.settings import PRESETS, Settings

ENVIRONMENT = "environment variable"


def find_origins(settings: Settings, config_file: Path | None, flags: dict[str, Any]) -> dict[str, str]:
    """Setting -> "flag", "environment variable NAME", the path of the file, "preset NAME" or "default".

    Settings of a section are named like `dataset.source`. The arguments are those from which `load_settings` made the
    settings.
    """
    file = find_file(config_file)
    layers: list[tuple[str, dict[str, Any]]] = [
        ("flag", {name: value for name, value in flags.items() if value is not None}),
        (ENVIRONMENT, Environment(Settings)()),
        (str(file), read_file(file) if file else {}),
        (f"preset {settings.preset}", PRESETS[settings.preset]),
    ]
    return {".".join(path): _origin(path, layers) for path in _paths(settings.model_dump(mode="json"))}


def _paths(values: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from ((name, *rest) for rest in _paths(value))
        else:
            yield (name,)


def _origin(path: tuple[str, ...], layers: list[tuple[str, dict[str, Any]]]) -> str:
    origin = next((name for name, values in layers if _names(values, path)), "default")
    return f"{ENVIRONMENT} {find_variable(path)}" if origin == ENVIRONMENT else origin


def _names(values: Any, path: tuple[str, ...]) -> bool:
    """Whether the values of a source set this path, or a parent of it to something that is not a section."""
    for name in path:
        if not isinstance(values, dict):
            return True
        if name not in values:
            return False
        values = values[name]
    return True
