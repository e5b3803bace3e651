"""Reviews: none lost and none doubled by twenty people at once, taken back by another row, refused when incomplete."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake
from deltalake.exceptions import CommitFailedError

from lake.errors import LakeError, UsageError
from lake.query.reviews import Review, active_reviews, add_reviews, drop_set, latest, save_set, saved_sets, scan_reviews
from lake.storage import appending, door
from lake.storage.store import Lake
from tests.support.lakes.raw_tables import folder_of, write_raw
from tests.support.paths import REPOSITORY

DATA = "tiny-40-0"


def said(sample_id: int, verdict: str = "fine", **more: str | None) -> Review:
    return Review(DATA, sample_id, verdict, reviewer=more.pop("reviewer", None) or "Ada", **more)  # type: ignore[arg-type]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_a_review_is_read_back_as_it_was_said(lake: Lake) -> None:
    (review_id,) = add_reviews(lake, [said(7, "wrong", label="dog", note="has a muzzle")])
    row = scan_reviews(lake, DATA).collect().row(0, named=True)
    assert (row["review_id"], row["sample_id"], row["label"], row["note"]) == (review_id, 7, "dog", "has a muzzle")
    assert row["reviewed_at"].tzinfo is not None


def test_before_the_first_review_there_is_none(lake: Lake) -> None:
    assert scan_reviews(lake, DATA).collect().is_empty()
    assert latest(scan_reviews(lake, DATA)).collect().is_empty()


def test_a_later_verdict_stands_and_a_review_can_be_taken_back(lake: Lake) -> None:
    add_reviews(lake, [said(1, "fine")])
    (second,) = add_reviews(lake, [said(1, "wrong", label="dog")])
    assert latest(scan_reviews(lake, DATA)).collect()["verdict"].to_list() == ["wrong"]
    add_reviews(lake, [said(1, "undone", undoes=second)])
    everything = scan_reviews(lake, DATA)
    assert latest(everything).collect()["verdict"].to_list() == ["fine"]
    assert len(everything.collect()) == 3 and len(active_reviews(everything).collect()) == 1


def test_a_saved_set_is_no_verdict(lake: Lake) -> None:
    add_reviews(lake, [said(i, "in set", note="white cats") for i in (3, 4)])
    everything = scan_reviews(lake, DATA)
    assert latest(everything).collect().is_empty()
    assert active_reviews(everything).filter(note="white cats").collect()["sample_id"].to_list() == [3, 4]


def test_reviews_of_another_dataset_are_not_mixed_in(lake: Lake) -> None:
    add_reviews(lake, [said(1)])
    add_reviews(lake, [Review("other", 1, "fine", "Ada")])
    assert len(scan_reviews(lake, DATA).collect()) == 1


def test_sets_are_saved_under_a_name_grow_and_are_taken_back(tmp_path: Path, tiny_lake: str) -> None:
    run = Lake(shutil.copytree(tiny_lake, tmp_path / "copy")).run()

    def sets() -> dict[str, list[int]]:
        found = saved_sets(scan_reviews(run.lake, run.dataset_id)).select("name", "sample_ids").collect()
        return dict(found.iter_rows())

    save_set(run, " white cats ", [9, 3, 5], "Ada")
    save_set(run, "white cats 2", [3], "Bob")
    save_set(run, "white cats", [5, 1], "Bob")
    assert sets() == {"white cats": [9, 3, 5, 1], "white cats 2": [3]}
    assert list(sets()) == ["white cats", "white cats 2"], "the newest first"
    drop_set(run, "white cats", "Ada")
    assert sets() == {"white cats 2": [3]}
    save_set(run, "x" * 100, [7], "Ada")
    assert list(sets()) == ["x" * 80, "white cats 2"]
    assert latest(scan_reviews(run.lake, run.dataset_id)).collect().is_empty()


@pytest.mark.parametrize(("name", "samples"), [("  ", [1]), ("empty", [])])
def test_a_set_without_name_or_samples_is_refused(tiny_lake: str, name: str, samples: list[int]) -> None:
    with pytest.raises(UsageError, match="needs a name and at least one sample"):
        save_set(Lake(tiny_lake).run(), name, samples, "Ada")


def test_reviews_of_before_there_was_a_run_to_name_are_read_and_added_to(lake: Lake) -> None:
    add_reviews(lake, [said(1)])
    old = pl.read_delta(lake.uri("reviews")).drop("run_id")
    shutil.rmtree(folder_of(lake, "reviews"))
    write_raw(folder_of(lake, "reviews"), old, partition_by=["dataset_id"])
    assert scan_reviews(lake, DATA).collect()["run_id"].to_list() == [None]
    add_reviews(lake, [said(2, run_id="later")])
    assert scan_reviews(lake, DATA).collect()["run_id"].to_list() == [None, "later"]


@pytest.mark.parametrize(
    ("review", "message"),
    [
        (said(1, "nice"), "use one of wrong, ambiguous"),
        (said(1, "wrong"), "needs a correction"),
        (Review(DATA, 1, "fine", "  "), "needs the name"),
    ],
)
def test_an_incomplete_review_is_refused_and_nothing_is_written(lake: Lake, review: Review, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        add_reviews(lake, [said(2), review])
    assert scan_reviews(lake, DATA).collect().is_empty()


def test_a_commit_that_fails_is_tried_again_and_not_doubled(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    add_reviews(lake, [said(1)])
    failures = iter([True, True, False])

    def written_but_reported_lost(*arguments: Any, **options: Any) -> None:
        write_deltalake(*arguments, **options)
        if next(failures):
            raise CommitFailedError("the answer was lost")

    monkeypatch.setattr(door, "write_deltalake", written_but_reported_lost)
    add_reviews(lake, [said(2)])
    assert scan_reviews(lake, DATA).collect()["sample_id"].to_list() == [1, 2]


def test_a_lake_that_cannot_be_written_is_named_after_all_tries(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(door, "write_deltalake", full)
    monkeypatch.setattr(appending, "TRIES", 2)
    with pytest.raises(LakeError, match=r"could not be written .*No space left"):
        add_reviews(lake, [said(1)])


@pytest.mark.long
def test_twenty_people_at_once_lose_and_double_nothing(lake: Lake) -> None:
    """Two processes with ten people each; every one says fifty things."""
    program = f"""
import sys
from concurrent.futures import ThreadPoolExecutor
from lake.query.reviews import Review, add_reviews
from lake.storage.store import Lake
def work(person):
    lake = Lake({lake.root!r})
    for i in range(50):
        add_reviews(lake, [Review({DATA!r}, i, "fine", f"person {{person}}")])
first = 10 * int(sys.argv[1])
with ThreadPoolExecutor(10) as pool:
    list(pool.map(work, range(first, first + 10)))
"""
    commands = [[sys.executable, "-c", program, str(part)] for part in range(2)]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda c: subprocess.run(c, cwd=REPOSITORY, capture_output=True, check=False), commands))
    assert [result.returncode for result in done] == [0, 0], [result.stderr.decode()[-500:] for result in done]
    found = scan_reviews(lake, DATA).collect()
    assert len(found) == found["review_id"].n_unique() == 1000
    assert found.group_by("reviewer").agg(pl.col("sample_id").sort())["sample_id"].to_list() == [list(range(50))] * 20
