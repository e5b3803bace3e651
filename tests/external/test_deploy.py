"""What schedules a refresh: units that systemd accepts, a crontab line and a workflow that call what there is.

The crontab line is run with a stand-in for the command, as cron would run it.
"""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from pipeline.cli import app
from pipeline.settings import load_settings
from tests.support.paths import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
COMMAND = "/opt/latentlake/.venv/bin/latentlake"
UNITS = sorted(path.name for path in DEPLOY.glob("latentlake-*.*"))
SERVICES = [name for name in UNITS if name.endswith(".service")]
CALLERS = [*SERVICES, "crontab", "github-refresh.yml", "README.md"]
EXPOSURE_ALLOWED = 2.5
"""Of 10, as `systemd-analyze security` counts it."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: apt-get install systemd")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def calls(text: str) -> list[tuple[str, set[str]]]:
    """Every command that a text gives to latentlake, with its options."""
    found = re.findall(r"latentlake (\w+)(?![/\w])([^\n|&;>`]*)", text)
    return [(name, set(re.findall(r"--[\w-]+", rest))) for name, rest in found]


def refresh_options(name: str) -> str:
    """What a file gives to `refresh`, but for where the settings are and for how long it may take."""
    options = re.search(r"latentlake refresh(.*?--json)", (DEPLOY / name).read_text())
    assert options
    return re.sub(r" --(config|max-hours) \S+", "", options[1])


def workflow() -> dict[Any, Any]:
    return yaml.safe_load((DEPLOY / "github-refresh.yml").read_text())


def cron_line() -> str:
    (line,) = (line for line in (DEPLOY / "crontab").read_text().splitlines() if re.match(r"[\d*]", line))
    return line


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with a command that is there."""
    for name in UNITS:
        (tmp_path / name).write_text((DEPLOY / name).read_text().replace(COMMAND, "/bin/true"))
    return tmp_path


def test_the_units_are_a_refresh_its_timer_and_the_app() -> None:
    assert UNITS == ["latentlake-app.service", "latentlake-refresh.service", "latentlake-refresh.timer"]


@pytest.mark.parametrize("name", UNITS)
def test_systemd_accepts_the_unit_without_a_warning(units: Path, name: str) -> None:
    result = analyze("verify", "--man=no", str(units / name))
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_the_service_is_shut_off_from_what_it_does_not_need(units: Path, name: str) -> None:
    result = analyze("security", "--offline=true", f"--threshold={EXPOSURE_ALLOWED * 10:.0f}", str(units / name))
    assert result.returncode == 0, result.stdout


def test_later_is_a_success_for_systemd() -> None:
    assert "SuccessExitStatus=75 143\n" in (DEPLOY / "latentlake-refresh.service").read_text()


def test_the_timer_is_nightly() -> None:
    timer = (DEPLOY / "latentlake-refresh.timer").read_text()
    when = re.search("OnCalendar=(.*)", timer)
    assert when
    result = analyze("calendar", "--iterations=2", when[1])
    assert result.returncode == 0
    assert len(re.findall("02:00:00", result.stdout)) >= 3


@pytest.mark.parametrize("name", CALLERS)
def test_every_call_names_a_command_and_options_that_there_are(name: str) -> None:
    group: Any = typer.main.get_command(app)
    commands = group.commands
    found = calls((DEPLOY / name).read_text())
    assert found
    for command, options in found:
        assert command in commands, f"{name}: latentlake has no {command}"
        known = {text for parameter in commands[command].params for text in parameter.opts}
        assert options <= known, f"{name}: latentlake {command} has no {options - known}"


def test_every_schedule_asks_for_the_same_refresh() -> None:
    asked = {refresh_options(name) for name in CALLERS if name != "latentlake-app.service"}
    assert len(asked) == 1, asked


@pytest.mark.parametrize(
    ("refresh", "collect", "called", "mailed"),
    [
        (0, 0, ["refresh", "gc"], ""),
        (75, 0, ["refresh", "gc"], ""),
        (1, 0, ["refresh"], "The refresh failed"),
        (0, 1, ["refresh", "gc"], "The refresh failed"),
    ],
)
def test_cron_mails_failures_and_not_what_is_later(
    tmp_path: Path, refresh: int, collect: int, called: list[str], mailed: str
) -> None:
    stand_in = tmp_path / "latentlake"
    stand_in.write_text(f'#!/bin/sh\necho "$1" >>called\n[ "$1" = refresh ] && exit {refresh}\nexit {collect}\n')
    stand_in.chmod(0o755)
    *when, command = cron_line().split(maxsplit=5)
    assert len(when) == 5 and "%" not in command
    result = subprocess.run(
        ["/bin/sh", "-c", command.replace("cd /var/lib/latentlake", f"cd {shlex.quote(str(tmp_path))}")],
        env=os.environ | {"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (tmp_path / "called").read_text().split() == called
    assert result.stdout.startswith(mailed) and bool(result.stdout) == bool(mailed)
    assert result.stderr == ""


def test_the_workflow_is_scheduled_one_at_a_time_and_keeps_the_lake() -> None:
    found = workflow()
    (when,) = found[True]["schedule"]  # YAML 1.1 reads the key `on` as true
    assert when["cron"].split() == cron_line().split()[:5]
    assert found["concurrency"]["cancel-in-progress"] is False
    steps = found["jobs"]["refresh"]["steps"]
    used = [step["uses"].split("@")[0] for step in steps if "uses" in step]
    assert {"actions/cache/restore", "actions/cache/save", "actions/upload-artifact"} <= set(used)


def test_the_scripts_of_the_workflow_are_shell() -> None:
    for step in workflow()["jobs"]["refresh"]["steps"]:
        result = subprocess.run(["bash", "-n"], input=step.get("run", ""), capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, "")


def test_the_settings_file_is_read() -> None:
    settings = load_settings(DEPLOY / "latentlake.toml")
    assert settings.lake == "/var/lib/latentlake/lake"


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)]+)\)", (DEPLOY / "README.md").read_text()))))
def test_files_that_the_readme_links_exist(path: str) -> None:
    assert (DEPLOY / path).exists()


def test_versions_for_dagster_are_those_of_the_lock_but_for_watchdog() -> None:
    """One that is in both would be pinned twice, and drift."""
    pins = [
        dict(line.split("==") for line in path.read_text().splitlines() if "==" in line)
        for path in (DEPLOY.parent / "requirements.lock", DEPLOY / "dagster.lock")
    ]
    assert pins[0].keys() & pins[1].keys() == {"watchdog"}
