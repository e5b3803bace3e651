"""Generate the pages of `docs/reference/` from code: `python -m tests.support.suite.docs` (`make docs`).

A test compares each page with the current code.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from lake.contracts.tables import describe_tables
from pages.text.glossary import GLOSSARY
from pipeline.config.dataset import DatasetSettings, PredictionSettings
from pipeline.settings import Phase, Settings
from tests.support.paths import REPOSITORY
from tests.support.suite import house

DOCS = REPOSITORY / "docs"
REFERENCE = DOCS / "reference"
SECTIONS: dict[str, type[BaseModel]] = {
    "[dataset]": DatasetSettings,
    "[dataset.predictions]": PredictionSettings,
    "A phase of the training": Phase,
}


def command_line() -> str:
    """Every command with its arguments and options, as in its help."""
    command = [sys.executable, "-m", "typer", "pipeline.cli", "utils", "docs", "--name", "latentlake"]
    text = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return text.replace("# `latentlake`", "# Commands", 1).replace("&#x27;", "'").strip() + "\n"


def settings() -> str:
    """Every setting with its default and meaning."""
    parts = ["# Settings", INTRODUCTION.strip(), _table(Settings)]
    for title, model in SECTIONS.items():
        parts += [f"## {title}", _table(model)]
    return "\n\n".join(parts) + "\n"


def tables() -> str:
    """Every table of the lake with its columns."""
    return f"# Tables of the lake\n\nA star marks the primary key.\n\n{describe_tables()}\n"


def glossary() -> str:
    """The glossary of the pages."""
    rows = [f"**{word}** - {meaning}" for word, meaning in sorted(GLOSSARY.items(), key=lambda row: row[0].casefold())]
    return "\n\n".join(["# Glossary", *rows]) + "\n"


GENERATED: dict[str, Callable[[], str]] = {
    "commands.md": command_line,
    "glossary.md": glossary,
    "modules.md": house.page,
    "settings.md": settings,
    "tables.md": tables,
}


def _table(model: type[BaseModel]) -> str:
    rows = [
        f"| `{name}` | {_default(field)} | {field.description or ''} |"
        for name, field in model.model_fields.items()
        if field.description
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def _default(field: Any) -> str:
    """The default as code; empty if there is none, or if it depends on the preset or machine."""
    if field.default in (PydanticUndefined, None, Path()):
        return ""
    return f"`{field.default if not isinstance(field.default, Path) else field.default.as_posix()}`"


INTRODUCTION = """
Settings come from flags, then the environment (`LATENTLAKE_LAKE`, `LATENTLAKE_PRESET`, ...), then a TOML file,
then the preset, then defaults. The file is the one given with `--config` (or `LATENTLAKE_CONFIG`), else
`latentlake.toml` in the working folder, which every command, `latentlake.refresh()` and the pages find and the
commands name on stderr; `--config /dev/null` uses none. `latentlake config` prints every value and, under
`sources`, where it came from. `~` in a path is the home folder; relative paths count from the working folder. Any
setting can be given as `latentlake refresh --set umap_neighbors=30`, one of a section as `--set dataset.size=64`,
and lists and tables in TOML or JSON, in the environment too: `--set 'phases=[{resolution = 32, epochs = 5}]'`.

Presets: `smoke` (2,000 images, for tests), `quick` (about twelve minutes with bfloat16), `standard` (nightly) and
`full` (release) set the numbers of images and epochs. A setting without a default here has none, or depends on the
preset or the machine.
"""


def main() -> None:
    for name, make in GENERATED.items():
        (REFERENCE / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
