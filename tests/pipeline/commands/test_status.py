"""`latentlake status`: the numbers of the run, what could not be used, and a refresh that stopped since."""

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest

from lake.errors import LakeError
from lake.query import joined_samples
from lake.storage.attempts import count_refused, record_attempt
from lake.storage.store import Lake
from pipeline.commands.status import look, print_status
from tests.support.data.scalars import mean
from tests.support.lakes.refused_run import EXCLUDED, ROWS, SAMPLES, many, publish_refused_run
from tests.support.lakes.tiny_lake import RUN_ID
from tests.support.processes.commands import latentlake

REFUSED = [("a.png", "truncated", "cut"), ("c.png", "truncated", "short"), ("b.png", "zero bytes", "")]


def said(lake: Lake, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that are printed a day after the run was published."""
    print_status(look(lake, lake.run().facts["published_at"] + dt.timedelta(hours=26)))
    return capsys.readouterr().out.splitlines()


def test_every_number_is_computed_again_from_the_rows(tmp_path: Path) -> None:
    lake = publish_refused_run(tmp_path / "lake", [*ROWS, EXCLUDED])
    run = lake.run()
    status = look(lake, run.facts["published_at"] + dt.timedelta(hours=5, minutes=30)).to_dict()
    test = joined_samples.scan_samples(run).filter(pl.col("split") == "test").collect()
    assert (status["run"], status["published"]) == (RUN_ID, run.facts["published_at"].isoformat())
    assert status["age_hours"] == 5.5
    assert (status["accuracy"], status["tested"]) == (mean(test["correct"]), len(test))
    assert status["mean_loss"] == pytest.approx(mean(test["loss"]))
    assert (status["samples"], status["scored"]) == (SAMPLES, run.scan("predictions").collect().height)
    assert status["findings"] == run.scan("findings").collect().height
    assert status["refused"] == {
        "n": 3,
        "usable": SAMPLES + 1,
        "share": 3 / (SAMPLES + 4),
        "max_refused": 0.02,
        "reasons": [
            {"reason": "truncated", "n": 2, "example": "cat/a.png", "detail": ""},
            {"reason": "not an image", "n": 1, "example": "notes.txt", "detail": "none of the known formats"},
        ],
    }
    assert status["failed_attempt"] is None


def test_a_small_share_is_told_with_its_reasons_and_a_large_one_with_what_the_accuracy_is_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = said(publish_refused_run(tmp_path / "few", ROWS), capsys)
    assert few[1].endswith(" UTC, 26 hours ago")
    assert few[5:] == [
        f"refused    3 of 243 images ({3 / 243 * 100:.1f} %) could not be used.",
        "           2 truncated, such as cat/a.png",
        "           1 not an image, such as notes.txt (none of the known formats)",
    ]
    much = said(publish_refused_run(tmp_path / "much", many(60)), capsys)
    assert much[5] == "refused    60 of 300 images (20.0 %) could not be used: accuracy is of the others."


def test_nothing_is_said_of_nothing(tiny_lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert [line.split()[0] for line in said(Lake(tiny_lake), capsys)] == [
        "run",
        "published",
        "test",
        "samples",
        "findings",
    ]


def test_a_refresh_that_stopped_after_the_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = publish_refused_run(tmp_path / "lake", [])
    record_attempt(lake, "photos [new]", "No image can be used.", REFUSED)
    status = look(lake, dt.datetime.now(dt.UTC) + dt.timedelta(hours=3))
    print_status(status)
    lines = capsys.readouterr().out.splitlines()
    assert lines[5] == "attempt    The last refresh of photos [new] stopped 3 hours ago: No image can be used."
    assert lines[6:] == ["           2 truncated, such as a.png (cut)", "           1 zero bytes, such as b.png"]
    attempt = json.loads(json.dumps(status.to_dict()))["failed_attempt"]
    assert (attempt["dataset_name"], attempt["message"]) == ("photos [new]", "No image can be used.")
    assert attempt["refused"] == count_refused(REFUSED)
    assert dt.datetime.fromisoformat(attempt["attempted_at"]).tzinfo is not None


def test_an_empty_lake_tells_the_refresh_that_stopped_and_exits_as_one_without(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    with pytest.raises(LakeError, match=r"has no published run yet: run `latentlake refresh[^.]*`\.$"):
        look(lake, dt.datetime.now(dt.UTC))
    record_attempt(lake, "photos", "No image can be used.", REFUSED)
    done = latentlake("status", "--lake", lake.root, "--json")
    assert done.returncode == 1
    assert "has no published run yet: run `latentlake refresh" in done.stderr
    assert "The last refresh of photos stopped 0 minutes ago: No image can be used." in done.stderr
    told = json.loads(done.stdout)
    assert told["exit_code"] == 1 and "No image can be used." in told["message"]


def test_the_command_prints_one_json_object(tiny_lake: str) -> None:
    done = latentlake("status", "--lake", tiny_lake, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {"run", "published", "age_hours", "accuracy", "refused", "failed_attempt"} <= told.keys()
    assert (told["run"], told["refused"]["n"], told["failed_attempt"]) == (RUN_ID, 0, None)
