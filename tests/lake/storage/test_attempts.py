"""Refreshes that stopped because of their data: recorded, told until a later run is published."""

import datetime as dt
from pathlib import Path

from lake.storage.attempts import clear_attempt, count_refused, find_failed_attempt, record_attempt, tell_attempt
from lake.storage.store import Lake
from tests.support.lakes.tiny_lake import publish_tiny_run

REFUSED = [("a.png", "truncated", "cut"), ("b.png", "zero bytes", ""), ("c.png", "truncated", "short")]


def test_reasons_are_counted_with_one_example_the_most_frequent_first() -> None:
    assert count_refused(REFUSED) == [
        {"reason": "truncated", "n": 2, "example": "a.png", "detail": "cut"},
        {"reason": "zero bytes", "n": 1, "example": "b.png", "detail": ""},
    ]


def test_the_last_attempt_is_told_until_its_data_are_refreshed(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    assert find_failed_attempt(lake) is None
    record_attempt(lake, "photos", "No image can be used.", REFUSED)
    record_attempt(lake, "photos", "Only two images can be used.", REFUSED[:1])
    told = find_failed_attempt(lake)
    assert told is not None
    assert (told["dataset_name"], told["message"]) == ("photos", "Only two images can be used.")
    assert told["refused"] == count_refused(REFUSED[:1])
    publish_tiny_run(lake.root)
    assert find_failed_attempt(Lake(lake.root)) is not None, "that run was of other data"
    name = lake.runs()["dataset_name"][0]
    record_attempt(lake, name, "Nothing is left.", [])
    told = find_failed_attempt(Lake(lake.root))
    assert told is not None and (told["dataset_name"], told["refused"]) == (name, [])
    clear_attempt(lake, name)
    told = find_failed_attempt(Lake(lake.root))
    assert told is not None and told["dataset_name"] == "photos"
    clear_attempt(lake, "photos")
    assert find_failed_attempt(Lake(lake.root)) is None
    entries = len(lake.read_newest("attempts"))
    clear_attempt(lake, "photos")
    assert len(lake.read_newest("attempts")) == entries, "nothing is written on an ordinary night"


def test_an_attempt_is_settled_by_a_later_run_of_its_data(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    publish_tiny_run(tmp_path / "other")
    record_attempt(lake, Lake(tmp_path / "other").runs()["dataset_name"][0], "Nothing is left.", [])
    assert find_failed_attempt(lake) is not None
    publish_tiny_run(lake.root)
    assert find_failed_attempt(Lake(lake.root)) is None


def test_an_attempt_is_told_with_its_age_and_whole_message(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    record_attempt(lake, "photos", "No image can be used.\nFix them.", REFUSED)
    attempt = find_failed_attempt(lake)
    assert attempt is not None
    later = attempt["attempted_at"] + dt.timedelta(hours=3)
    assert tell_attempt(attempt, later) == (
        "The last refresh of photos stopped 3 hours ago: No image can be used.\nFix them."
    )
