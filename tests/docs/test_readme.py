"""README and docs say what the code does: pages made from it, commands, presets, links and settings are compared."""

import re
from pathlib import Path

import pytest

from pages.ui.session.access import Access
from pages.ui.session.navigation import ENTRIES
from pipeline.cli import app
from pipeline.settings import PRESETS, Settings, load_settings
from tests.support.paths import REPOSITORY
from tests.support.suite.docs import DOCS, GENERATED, REFERENCE

README = REPOSITORY / "README.md"
FILES = [README, *sorted(DOCS.rglob("*.md"))]
TEXTS = {file: file.read_text() for file in FILES}
ALL = "\n".join(TEXTS.values())
WRITTEN = "\n".join(text for file, text in TEXTS.items() if file.parent != REFERENCE)
LINKS = [(file, link) for file, text in TEXTS.items() for link in re.findall(r"\]\((?!http)([^)]+)\)", text)]
TOML = [text for text in re.findall(r"```toml\n(.*?)```", WRITTEN, flags=re.S) if "[auth]" not in text]


def test_the_readme_can_be_read_in_five_minutes() -> None:
    assert len(TEXTS[README].splitlines()) <= 200


@pytest.mark.parametrize("name", GENERATED)
def test_generated_pages_say_what_the_code_says(name: str) -> None:
    assert (REFERENCE / name).read_text() == GENERATED[name](), "run `make docs`"


def test_every_command_is_named_and_exists() -> None:
    commands = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert named_commands(TEXTS[README]) == commands
    assert named_commands(WRITTEN) == commands


def named_commands(text: str) -> set[str]:
    """What stands behind `latentlake` in blocks of a shell and in code among words."""
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", text, flags=re.S))
    return {*re.findall(r"^latentlake (\w+)", shell, flags=re.M), *re.findall(r"`latentlake (\w+)", text)}


def test_every_page_and_preset_is_explained() -> None:
    for text in (TEXTS[README], TEXTS[DOCS / "pages.md"]):
        assert all(f"**{entry.title}**" in text for entry in ENTRIES)
    assert all(f"`{preset}`" in TEXTS[README] for preset in PRESETS)


def test_named_environment_variables_are_settings() -> None:
    named = set(re.findall(r"LATENTLAKE_(\w+)", ALL))
    assert named
    known = Settings.model_fields.keys() | Access.model_fields.keys() | {"config"}
    assert {name.lower() for name in named} <= known


def test_every_setting_of_the_app_is_explained() -> None:
    assert all(f"`LATENTLAKE_{name.upper()}`" in TEXTS[DOCS / "security.md"] for name in Access.model_fields)


def test_every_page_of_the_docs_is_linked_in_the_readme() -> None:
    linked = {link.split("#")[0] for file, link in LINKS if file == README}
    assert {file.relative_to(REPOSITORY).as_posix() for file in FILES if file != README} <= linked


@pytest.mark.parametrize(("file", "link"), LINKS, ids=lambda value: getattr(value, "name", value))
def test_links_lead_to_files_and_headings(file: Path, link: str) -> None:
    path, _, heading = link.partition("#")
    target = (file.parent / path) if path else file
    assert target.exists()
    if heading:
        found = re.findall(r"^#+ (.+)$", target.read_text(), flags=re.M)
        assert heading in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in found}


def test_named_files_exist() -> None:
    named = set(re.findall(r"`((?:pipeline|lake|pages|tests|benchmarks|deploy)/[\w/.-]+)`", WRITTEN))
    assert named
    assert not {name for name in named if not (REPOSITORY / name).exists()}


def test_named_modules_exist() -> None:
    named = set(re.findall(r"`((?:pipeline|lake|pages)(?:\.\w+)+)", WRITTEN)) - {"lake.open"}
    for name in named:
        parts = name.split(".")
        stems = ["/".join(parts[:count]) for count in range(2, len(parts) + 1)]
        assert any((REPOSITORY / f"{stem}.py").exists() for stem in stems) or (REPOSITORY / stems[0]).is_dir(), name


def test_make_targets_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    named = set(re.findall(r"(?:^|`)make ([\w-]+)", WRITTEN, flags=re.M))
    assert {"demo", "test", "test-all", "test-since", "check", "bench", "docs"} <= named
    assert named <= {*re.findall(r"^([\w-]+):", makefile, flags=re.M)}


@pytest.mark.parametrize("text", TOML)
def test_settings_that_are_shown_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)
    assert load_settings(file)
