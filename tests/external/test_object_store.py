"""A lake on an S3 server: the same code stages, publishes, reads, serves and cleans it, whoever else is writing."""

import json
import multiprocessing
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from lake.errors import LakeError, RetryLater
from lake.query.reviews import Review, add_reviews, scan_reviews
from lake.storage.gc import Retention, collect_garbage
from lake.storage.store import Lake
from tests.support.data.drawn import drawn_dataset, take_training, tiny_settings
from tests.support.lakes.readers import READER
from tests.support.lakes.tiny_lake import RUN_ID, build_tiny_lake, stage_all, tiny_tables
from tests.support.lakes.two_runs import FIRST, SAMPLES, SECOND, contents, facts_of, run_ids
from tests.support.paths import REPOSITORY
from tests.support.servers.apps import Open, failures
from tests.support.servers.s3 import BUCKET, serve_s3

ROUNDS, WRITERS, PUBLISHES = 2, 3, 6


@pytest.fixture(scope="session")
def server() -> Iterator[dict[str, str]]:
    with serve_s3() as variables:
        yield variables


@pytest.fixture
def root(server: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """An address on the server that nobody has written to."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{request.node.name[5:45]}"


@pytest.mark.long
def test_a_run_is_the_same_as_in_a_folder(root: str, tmp_path: Path) -> None:
    there = build_tiny_lake(root, run_id=FIRST, samples=SAMPLES)
    here = build_tiny_lake(str(tmp_path), run_id=FIRST, samples=SAMPLES)
    assert there.run().verify() == here.run().verify() > 0
    assert contents(there.run()) == contents(here.run())


@pytest.mark.long
def test_a_refresh_ends_with_the_rows_that_it_has_in_a_folder(root: str, tmp_path: Path, drawn_folder: Path) -> None:
    from pipeline.engine.progress import Progress
    from pipeline.refresh.refresh import refresh

    take_training(drawn_folder, tmp_path)
    refresh(tiny_settings(tmp_path, lake=root), Progress(quiet=True), dataset=drawn_dataset())
    there, here = Lake(root).run(), Lake(f"{drawn_folder}/lake").run()
    assert there.verify() > 0
    found, wanted = (run.scan("predictions").drop("run_id").sort("sample_id").collect() for run in (there, here))
    assert found.equals(wanted)


@pytest.mark.long
def test_of_writers_that_race_each_publishes_its_run_once(root: str) -> None:
    lake = build_tiny_lake(root, run_id=RUN_ID, samples=SAMPLES)
    ids = [f"202602{day:02d}-000000-aaaaaa" for day in range(1, ROUNDS * WRITERS + 1)]
    for run_id in ids:
        stage_all(lake, tiny_tables(run_id=run_id, samples=SAMPLES))
    for number in range(ROUNDS):
        racing = ids[number * WRITERS : (number + 1) * WRITERS]
        # each run by two writers, as when a scheduler starts a refresh twice
        _at_once([(root, run_id) for run_id in racing for _ in range(2)])
    assert Counter(run_ids(lake)) == Counter([RUN_ID, *ids])
    assert all(lake.run(run_id).verify() > 0 for run_id in ids[::WRITERS])


@pytest.mark.long
def test_what_many_say_at_once_is_kept_once_each(root: str) -> None:
    lake = build_tiny_lake(root, run_id=FIRST, samples=SAMPLES)
    dataset = lake.run().dataset_id
    said = [Review(dataset, number, verdict="ambiguous", reviewer="ada") for number in range(12)]
    threads = [threading.Thread(target=add_reviews, args=(Lake(root), [review])) for review in said]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = scan_reviews(lake, dataset).collect()["sample_id"]
    assert sorted(kept) == list(range(12))


@pytest.mark.long
def test_a_reader_during_publishes_sees_whole_runs_only(root: str, tmp_path: Path) -> None:
    stop, told = tmp_path / "stop", tmp_path / "told"
    ids = [f"202601{day:02d}-000000-aaaaaa" for day in range(1, PUBLISHES + 2)]
    build_tiny_lake(root, run_id=ids[0], samples=SAMPLES)
    command = [sys.executable, "-c", READER, root, str(stop), str(told)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as reader:
        while not told.exists() and reader.poll() is None:
            pass
        for run_id in ids[1:]:
            build_tiny_lake(root, run_id=run_id, samples=SAMPLES)
        stop.touch()
        output, _ = reader.communicate(timeout=60)
    found = json.loads(output)
    assert (found["torn"], found["errors"]) == ([], [])
    assert found["seen"] == sorted(found["seen"]) and len(found["seen"]) > 2


@pytest.mark.long
def test_what_a_refresh_left_stays_for_a_day_where_no_lock_says_that_none_runs(root: str) -> None:
    lake = build_tiny_lake(root, run_id=FIRST, samples=SAMPLES)
    stage_all(lake, tiny_tables(run_id=SECOND, samples=SAMPLES))
    collect_garbage(lake, Retention(runs=1, days=0, hours=0), alone=False)
    lake.publish(facts_of(SECOND))
    collect_garbage(lake, Retention(runs=1, days=0, hours=0), alone=False)
    assert run_ids(lake) == [SECOND]
    assert lake.run().verify() > 0


@pytest.mark.long
def test_pages_and_images_come_from_there(root: str, open_page: Open) -> None:
    from pages.ui.server.routes import read_image
    from pages.ui.session.addresses import thumbnail

    run = build_tiny_lake(root).run()
    app = open_page(root)
    assert not failures(app)
    assert RUN_ID in app.caption[-1].value
    png = run.scan("images").filter(pl.col("sample_id") == 3).select("png").collect().item()
    assert read_image(thumbnail(run, 3)) == png


def test_a_bucket_that_is_not_there_gets_one_sentence(root: str) -> None:
    with pytest.raises(LakeError, match=r"^The lake s3://elsewhere/lake cannot be"):
        build_tiny_lake("s3://elsewhere/lake", samples=SAMPLES)
    with pytest.raises(LakeError, match=r"cannot be reached \(.*\): check address, network and credentials\.$"):
        Lake("s3://elsewhere/lake").runs()


def _at_once(calls: list[tuple[str, str]]) -> None:
    """Publish staged runs, each in a process of its own, as near to the same moment as there is."""
    start = multiprocessing.get_context("spawn")
    barrier = start.Barrier(len(calls))
    processes = [start.Process(target=_publish, args=(*call, barrier)) for call in calls]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0


def _publish(root: str, run_id: str, barrier: threading.Barrier) -> None:
    lake = Lake(root)
    barrier.wait()
    while True:
        try:
            lake.publish(facts_of(run_id))
            return
        except RetryLater:
            continue
