"""The README says what the code does: schemas, commands, presets and pages are compared with the code."""

import re
from pathlib import Path

import pytest

from lake.contracts import describe_tables
from pages.ui.access import Access
from pages.ui.navigation import ENTRIES
from pipeline.cli import app
from pipeline.settings import PRESETS, Settings, load_settings
from tests.support.paths import REPOSITORY

README = (REPOSITORY / "README.md").read_text()


def test_the_table_schemas_are_those_of_the_contracts() -> None:
    assert describe_tables() in README, (
        "paste into README what this prints: "
        ".venv/bin/python -c 'from lake.contracts import describe_tables; print(describe_tables())'"
    )


def test_every_command_is_named_and_exists() -> None:
    commands = {command.callback.__name__ for command in app.registered_commands if command.callback}
    named = set(re.findall(r"latentlake (\w+)", README))
    assert named == commands


def test_every_page_and_preset_is_explained() -> None:
    assert all(f"**{entry.title}**" in README for entry in ENTRIES)
    assert all(f"`{preset}`" in README for preset in PRESETS)


def test_named_environment_variables_are_settings() -> None:
    named = set(re.findall(r"LATENTLAKE_(\w+)", README))
    assert named
    assert {name.lower() for name in named} <= Settings.model_fields.keys() | Access.model_fields.keys() | {"config"}


def test_every_setting_of_the_app_is_explained() -> None:
    assert all(f"`LATENTLAKE_{name.upper()}`" in README for name in Access.model_fields)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_linked_files_exist(path: str) -> None:
    assert (REPOSITORY / path).exists()


def test_make_targets_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    named = set(re.findall(r"(?:^|`)make ([\w-]+)", README, flags=re.M))
    assert {"demo", "test", "test-all", "test-since", "check", "bench"} <= named
    assert named <= {*re.findall(r"^([\w-]+):", makefile, flags=re.M)}


@pytest.mark.parametrize(
    "text", [text for text in re.findall(r"```toml\n(.*?)```", README, flags=re.S) if "phases" in text]
)
def test_settings_that_are_shown_are_settings(tmp_path: Path, text: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)
    assert load_settings(file).model in text
