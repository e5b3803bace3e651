"""`latentlake export`: what the ending of the file asks for, and one clear sentence where it cannot be."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from lake.errors import UserError
from lake.query import joined_samples
from lake.storage.store import Lake
from pages.report.document import find_previous, render_report
from pipeline.commands import init as init_file
from pipeline.commands.export import export
from tests.support.lakes.changed_run import EARLIER, LATER
from tests.support.lakes.tiny_lake import RUN_ID
from tests.support.processes.commands import latentlake


def test_the_report_is_written_under_the_name_of_the_run(
    tiny_lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written = export(Lake(tiny_lake).run(), None)
    assert written.path == Path(f"latentlake-{RUN_ID}.html")
    run = Lake(tiny_lake).run()
    assert written.path.read_text() == render_report(run, find_previous(run))
    assert written.to_sentence().startswith(f"latentlake-{RUN_ID}.html: the report of run {RUN_ID}, ")


def test_the_command_writes_the_report_of_the_run_that_is_named(changed_lake: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    for run_id in (LATER, EARLIER):
        result = latentlake("export", str(file), "--run", run_id, "--force", "--lake", changed_lake)
        assert result.returncode == 0, result.stderr
        assert f"the report of run {run_id}, " in result.stdout
        assert f"report of run {run_id}</title>" in file.read_text()


def test_rows_are_those_that_meet_the_condition(tiny_lake: str, rows: pl.DataFrame, tmp_path: Path) -> None:
    run = Lake(tiny_lake).run()
    expected = rows.filter(pl.col("label") == "cat", pl.col("loss") > 2)["sample_id"].to_list()
    for ending, read in ((".csv", pl.read_csv), (".parquet", pl.read_parquet)):
        written = export(run, tmp_path / f"cats{ending}", condition="label == 'cat' and loss > 2")
        found = read(written.path)
        assert found["sample_id"].to_list() == expected
        assert found.columns == joined_samples.scan_samples(run).collect_schema().names()
        assert f"{len(expected)} samples of run {RUN_ID}" in written.to_sentence()


def test_without_a_condition_all_rows_are_written(tiny_lake: str, rows: pl.DataFrame, tmp_path: Path) -> None:
    written = export(Lake(tiny_lake).run(), tmp_path / "samples.parquet")
    assert pl.read_parquet(written.path)["sample_id"].to_list() == rows["sample_id"].to_list()


@pytest.mark.parametrize("chart", ["map", "confusion"])
def test_a_chart_is_written_as_svg_and_as_png(chart: str, tiny_lake: str, tmp_path: Path) -> None:
    run = Lake(tiny_lake).run()
    assert export(run, tmp_path / f"{chart}.svg").path.read_text().startswith("<svg ")
    assert export(run, tmp_path / f"{chart}.png").path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "condition", "sentence"),
    [
        ("report.pdf", None, "report.pdf must end in one of .html, .svg, .png, .csv, .parquet"),
        ("losses.svg", None, "There is no chart losses: the charts are map and confusion"),
        ("report.html", "loss > 2", "--filter selects rows, but report.html has none"),
        ("rows.csv", "los > 2", "There is no column 'los': the closest is 'loss'. Text goes in quotes."),
        ("rows.csv", "import os", "The expression 'import os' cannot be read"),
        ("nowhere/report.html", None, "There is no folder"),
        (f"{'a' * 300}.csv", None, "File name too long): name another file"),
        (".csv", "loss > 2", ".csv is an extension without a file name: put a name before it."),
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_is_written(
    name: str, condition: str | None, sentence: str, tiny_lake: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        export(Lake(tiny_lake).run(), tmp_path / name, condition=condition)
    assert sentence in str(caught.value)
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_kept_unless_it_is_forced(tiny_lake: str, tmp_path: Path) -> None:
    file, run = tmp_path / "report.html", Lake(tiny_lake).run()
    file.write_text("mine")
    with pytest.raises(
        UserError, match=r"report\.html already exists: name another file, or overwrite it with --force"
    ):
        export(run, file)
    assert file.read_text() == "mine"
    export(run, file, force=True)
    assert file.read_text().startswith("<!doctype html>")


def fill_disk(part: Path, content: bytes) -> None:
    part.write_text(repr(content[:10]))
    raise OSError(errno.ENOSPC, "No space left on device")


def write_report(file: Path, lake: str, *, force: bool) -> None:
    export(Lake(lake).run(), file, force=force)


def write_settings(file: Path, _: str, *, force: bool) -> None:
    init_file.write_settings(file, force=force)


@pytest.mark.parametrize("write", [write_report, write_settings])
@pytest.mark.parametrize("before", [None, "mine"])
def test_a_full_disk_leaves_what_was_there_and_nothing_else(
    write: Callable[..., None], before: str | None, tiny_lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "named.html"
    if before:
        file.write_text(before)
    monkeypatch.setattr(Path, "write_bytes", fill_disk)
    with pytest.raises(UserError, match=r"named\.html cannot be written: no space left on the disk of .*Fix this"):
        write(file, tiny_lake, force=before is not None)
    assert [path.read_text() for path in tmp_path.iterdir()] == ([before] if before else [])


@pytest.mark.parametrize("write", [write_report, write_settings])
def test_what_is_no_plain_file_is_not_overwritten(write: Callable[..., None], tiny_lake: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.html")
    with pytest.raises(UserError, match=r"pipe\.html is not a regular file: name another"):
        write(tmp_path / "pipe.html", tiny_lake, force=True)


def test_a_file_has_the_permissions_of_other_new_files_or_of_the_one_it_replaces(
    tiny_lake: str, tmp_path: Path
) -> None:
    (tmp_path / "new").touch()
    (tmp_path / "kept.toml").touch(0o600)
    (tmp_path / "link.toml").symlink_to(tmp_path / "kept.toml")
    write_settings(tmp_path / "made.toml", tiny_lake, force=False)
    write_settings(tmp_path / "link.toml", tiny_lake, force=True)
    assert (tmp_path / "made.toml").stat().st_mode == (tmp_path / "new").stat().st_mode
    assert (tmp_path / "kept.toml").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "link.toml").is_symlink() and (tmp_path / "kept.toml").read_text() == init_file.TEMPLATE


def test_a_filter_that_no_sample_fits_is_said(tiny_lake: str, tmp_path: Path) -> None:
    written = export(Lake(tiny_lake).run(), tmp_path / "none.csv", condition="loss > 1000")
    assert f"0 samples of run {RUN_ID}, because none matches the filter loss > 1000, " in written.to_sentence()


def test_the_command_says_in_one_line_what_is_wrong(tiny_lake: str, empty_lake: str, tmp_path: Path) -> None:
    file = str(tmp_path / "report.html")
    calls = {
        ("export", file, "--run", "no-such-run", "--lake", tiny_lake): (1, "has no run 'no-such-run'"),
        ("export", file, "--lake", empty_lake): (1, "no published run yet: run `latentlake refresh --lake "),
        ("export", str(tmp_path), "--lake", tiny_lake): (2, "is a folder: name a file in it"),
    }
    for call, (code, sentence) in calls.items():
        result = latentlake(*call)
        assert (result.returncode, sentence in result.stderr) == (code, True), result.stderr
        assert "Traceback" not in result.stderr
    assert not Path(file).exists()
