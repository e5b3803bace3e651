"""Lakes and Delta sources below folders of any name, and what is left behind by the way to them."""

import os
import resource
import shutil
import signal
import string
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest

from lake.contracts.tables import RUN_TABLES
from lake.errors import LakeError
from lake.query.reviews import Review, add_reviews, scan_reviews
from lake.storage import door
from lake.storage.gc import Retention, collect_garbage
from lake.storage.store import Lake
from tests.support.data.own_data import draw_files, load, own_settings, to_table, write_folder
from tests.support.lakes.raw_tables import write_raw
from tests.support.lakes.tiny_data import dataset_id_of
from tests.support.lakes.tiny_lake import publish_tiny_run
from tests.support.lakes.two_runs import FIRST, SAMPLES, SECOND, contents, facts_of, run_ids
from tests.support.paths import REPOSITORY

SIGNS = [f"a{sign}b" for sign in string.punctuation + " " if sign != "/"]
NAMES = [
    "My Projects ü #1",
    "é",
    "e\u0301",
    "猫🐈",
    "ü" * 127 + "x",
    "50%20",
    "%",
    "[1]",
    "{b}",
    "k=v",
    "-rf",
    " ",
    "~",
    "a\nb",
]


ODD = "My Projects ü #1 [50%20] k=v"
DATA = dataset_id_of(SAMPLES, 0)
MEASURED = {"before_run_id": FIRST, "test_accuracy": 0.5, "accuracy_before": 0.6}


@pytest.mark.parametrize("name", SIGNS + NAMES)
def test_a_lake_is_read_and_written_below_a_folder_of_any_name(built: str, tmp_path: Path, name: str) -> None:
    lake = Lake(shutil.copytree(built, tmp_path / name / "lake"))
    assert lake.run().scan("predictions").collect().height == SAMPLES
    add_reviews(lake, [Review(DATA, 1, "fine", "Ada")])
    for run_id in (FIRST, SECOND):
        lake.reject(facts_of(run_id), "accuracy fell", MEASURED)
    again = Lake(lake.root)
    assert scan_reviews(again, DATA).collect().height == 1
    assert again.rejected()["run_id"].to_list() == [SECOND, FIRST], "the newest first"


def test_a_run_is_published_verified_and_collected_below_a_folder_of_any_name(
    built_and_staged: str, tmp_path: Path
) -> None:
    lake = Lake(shutil.copytree(built_and_staged, tmp_path / ODD / "lake"))
    version = lake.open("runs").version()
    lake.publish(facts_of(SECOND))
    assert lake.open("runs").version() == version + 1
    opened = lake.run(FIRST)
    before = contents(opened)
    removed = collect_garbage(lake, Retention(runs=1, days=0, hours=0), alone=True)
    assert removed.runs == [FIRST] and removed.files > len(RUN_TABLES)
    assert run_ids(Lake(lake.root)) == [SECOND] and Lake(lake.root).run().verify()
    assert len(list(Path(lake.root, "runs").glob("*.parquet"))) == 1
    assert before.keys() == contents(Lake(lake.root).run()).keys()


def test_a_lake_is_made_below_a_folder_of_any_name_as_below_any_other(
    built: str, tables: dict[str, pl.DataFrame], tmp_path: Path
) -> None:
    lake = publish_tiny_run(str(tmp_path / ODD / "lake"), run_id=FIRST, samples=SAMPLES)
    assert contents(lake.run()) == contents(Lake(built).run())
    assert lake.runs().drop("published_at", "digests").equals(Lake(built).runs().drop("published_at", "digests"))
    plain = shutil.copytree(lake.root, tmp_path / "plain")
    assert contents(Lake(plain).run()) == contents(lake.run()) and Lake(plain).run().verify()


def test_other_engines_read_such_a_lake_where_uri_says(built: str, tmp_path: Path) -> None:
    lake = Lake(shutil.copytree(built, tmp_path / ODD / "lake"))
    assert pl.scan_delta(lake.uri("samples")).collect().height == SAMPLES
    with duckdb.connect() as connection:
        files = lake.open("samples").file_uris()
        assert connection.execute("select count(*) from read_parquet(?)", [files]).fetchone() == (SAMPLES,)


def test_a_run_that_another_process_publishes_is_seen_at_once(built_and_staged: str, tmp_path: Path) -> None:
    lake = Lake(shutil.copytree(built_and_staged, tmp_path / "a b" / "lake"))
    assert run_ids(lake) == [FIRST]
    program = (
        "from lake.storage.store import Lake; from tests.support.lakes.two_runs import *; "
        f"Lake({lake.root!r}).publish(facts_of(SECOND))"
    )
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)
    assert run_ids(lake) == [SECOND, FIRST]
    assert lake.run().verify() and lake.run().scan("samples").collect().height == SAMPLES


def test_a_row_that_is_appended_while_the_table_is_replaced_stays(tmp_path: Path) -> None:
    table = str(tmp_path / "a b" / "runs")
    first, second, changed = (pl.DataFrame({"id": [name]}) for name in ("first", "second", "changed"))
    door.write_table(table, first, mode="append")
    opened = door.open_table(table)
    door.write_table(table, second, mode="append")
    door.write_table(table, changed, onto=opened, mode="overwrite")
    assert set(pl.scan_delta(door.open_table(table)).collect()["id"]) == {"changed", "second"}


def test_a_door_whose_links_were_cleaned_away_is_made_again(built: str, tmp_path: Path) -> None:
    run = Lake(shutil.copytree(built, tmp_path / "a b" / "lake")).run()
    before = contents(run)
    for folder in {Path(run.lake.uri(name)) for name in before}:
        shutil.rmtree(folder)
    assert contents(run) == before


def test_a_process_leaves_no_door_behind(built: str, tmp_path: Path) -> None:
    root = shutil.copytree(built, tmp_path / "a b" / "lake")
    (tmp_path / "doors").mkdir()
    doors = Path(door.plain_path(str(tmp_path / "doors")))
    program = (
        "import os; from pathlib import Path; from lake.storage.store import Lake\n"
        f"Lake({str(root)!r}).run().verify(); print(len(os.listdir(os.environ['TMPDIR'])))\n"
        "if os.fork() == 0: raise SystemExit\n"
        "os.wait(); print(len(os.listdir(os.environ['TMPDIR'])))"
    )
    environment = os.environ | {"TMPDIR": str(doors)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["1", "1"]
    assert list(doors.iterdir()) == []


def test_a_temporary_folder_with_a_blank_in_its_name_is_passed_over(
    built: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my tmp").mkdir()
    monkeypatch.setattr(door, "TEMPORARY", (lambda: str(tmp_path / "my tmp"),))
    door._doors.cache_clear()
    door._door.cache_clear()
    lake = Lake(shutil.copytree(built, tmp_path / "a b" / "lake"))
    with pytest.raises(LakeError, match="set TMPDIR"):
        lake.runs()
    monkeypatch.undo()
    assert run_ids(lake) == [FIRST]


def test_a_lake_that_cannot_be_below_such_a_folder_says_so(tmp_path: Path, tables: dict[str, pl.DataFrame]) -> None:
    (tmp_path / "a b").write_text("not a folder")
    with pytest.raises(LakeError, match=r"cannot be written to .* Published runs are untouched"):
        Lake(tmp_path / "a b" / "lake").stage("training", tables["training"])


def test_a_full_disk_below_such_a_folder_is_told_in_words(built: str, tmp_path: Path) -> None:
    lake = Lake(shutil.copytree(built, tmp_path / "a b" / "lake"))
    again = lake.runs().with_columns(run_id=pl.lit(SECOND))
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, allowed[1]))
    try:
        with pytest.raises(LakeError, match=r"cannot be written to .* Free some space or fix the permissions"):
            lake._append_run(again)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
        signal.signal(signal.SIGXFSZ, handler)
    assert run_ids(Lake(lake.root)) == [FIRST]


def test_sources_are_read_below_a_folder_of_any_name(tmp_path: Path) -> None:
    files, folder = draw_files(100), tmp_path / ODD
    write_folder(folder / "images", files)
    write_raw(folder / "table", to_table(files))
    to_table(files).write_parquet(folder / "table.parquet")
    paths = [{"image": f"images/{path}", "label": label} for path, (_, label) in files.items()]
    pl.DataFrame(paths).write_csv(folder / "table.csv")
    for source in ("images", "table", "table.parquet", "table.csv"):
        assert len(load(own_settings(tmp_path, folder / source)).sample_id) == 100, source
