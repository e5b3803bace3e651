"""A folder that was moved is told to be new to the lake, with the id that continues the dataset it was before."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from lake.errors import UserError
from lake.storage.store import Lake
from pipeline.config.dataset import DatasetSettings
from pipeline.data.dataset_id import identify
from pipeline.data.moved import check_continued, tell_moved
from pipeline.settings import Settings
from tests.support.data.own_data import draw_files, load, own_settings, write_folder
from tests.support.lakes.tiny_data import dataset_id_of
from tests.support.lakes.tiny_lake import run_facts, stage_all, tiny_tables

KNOWN = dataset_id_of(40, 0)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with a run of /gone/photos."""
    return publish(tmp_path / "lake", source="/gone/photos")


def publish(root: Path, **own: object) -> Lake:
    lake, facts = Lake(root), run_facts(dataset_id=KNOWN, samples=40)
    stage_all(lake, tiny_tables(samples=40))
    lake.publish(facts | {"dataset_name": "photos", "config": json.dumps({"dataset": {"size": 32} | own})})
    return lake


def own_at(place: Path, **more: object) -> DatasetSettings:
    place.mkdir(parents=True, exist_ok=True)
    return DatasetSettings(source=place, **more)  # type: ignore[arg-type]


def test_of_a_folder_whose_earlier_place_is_gone_the_id_to_continue_is_told(lake: Lake, tmp_path: Path) -> None:
    (said,) = tell_moved(own_at(tmp_path / "new" / "photos"), lake, "photos-0123456789")
    assert said == (
        f"The lake has a dataset 'photos' from /gone/photos, which is gone: this one, from {tmp_path}/new/photos, is "
        f'new to it. To continue the earlier one, as after a folder was moved, set id = "{KNOWN}" in [dataset] and '
        "refresh again."
    )


def test_of_a_folder_whose_namesake_is_still_there_both_ways_on_are_told(tmp_path: Path) -> None:
    (tmp_path / "a" / "photos").mkdir(parents=True)
    lake = publish(tmp_path / "lake", source=str(tmp_path / "a" / "photos"))
    (said,) = tell_moved(own_at(tmp_path / "b" / "photos"), lake, "photos-0123456789")
    assert "gone" not in said and f'set id = "{KNOWN}"' in said and "a name of its own" in said


def test_nothing_is_told_of_known_other_or_changed_datasets_or_of_an_empty_lake(tmp_path: Path) -> None:
    assert tell_moved(own_at(tmp_path / "photos"), Lake(tmp_path / "none"), "photos-0123456789") == []
    lake = publish(tmp_path / "lake", source=str(tmp_path / "photos"))
    assert tell_moved(own_at(tmp_path / "new" / "photos"), lake, KNOWN) == []
    assert tell_moved(own_at(tmp_path / "scans"), lake, "scans-0123456789") == []
    assert tell_moved(own_at(tmp_path / "photos", size=64), lake, "photos-0123456789") == []


def test_an_id_is_taken_as_it_is_and_one_that_the_lake_lacks_is_told(lake: Lake, tmp_path: Path) -> None:
    continued = own_at(tmp_path / "photos", id=KNOWN)
    assert identify(continued, Settings()) == KNOWN != identify(own_at(tmp_path / "photos"), Settings())
    assert tell_moved(continued, lake, KNOWN) == []
    (said,) = tell_moved(own_at(tmp_path / "photos", id="photo-1"), lake, "photo-1")
    assert said == f"The lake has no dataset with id = 'photo-1', so a new one begins: it has {KNOWN}."
    for wrong in ("", "a/b", "../x", "a b"):
        with pytest.raises(ValidationError):
            own_at(tmp_path / "photos", id=wrong)


def test_a_dataset_is_continued_only_at_the_size_of_its_images(lake: Lake, tmp_path: Path) -> None:
    check_continued(own_at(tmp_path / "photos", id=KNOWN), lake)
    check_continued(own_at(tmp_path / "photos", size=64), lake)
    with pytest.raises(UserError, match="has images of 32 px: set size = 32"):
        check_continued(own_at(tmp_path / "photos", id=KNOWN, size=64), lake)


def test_a_moved_folder_is_said_when_it_is_loaded_and_stored_with_the_run(lake: Lake, tmp_path: Path) -> None:
    write_folder(tmp_path / "here" / "photos", draw_files(24))
    dataset = load(own_settings(tmp_path, tmp_path / "here" / "photos"))
    assert dataset.dataset_id != KNOWN and KNOWN in dataset.understood[0]
    continued = load(own_settings(tmp_path, tmp_path / "here" / "photos", dataset={"id": KNOWN}))
    assert continued.dataset_id == KNOWN and not any("gone" in remark for remark in continued.understood)
