"""The share of a source that could not be used: of what, above which limit it is said, and where it is not known."""

from pathlib import Path
from typing import Any

import pytest

from lake.query.refused import Refused, count_reasons, measure_refused, tell_reasons
from lake.storage.store import Lake
from tests.support.lakes.bare_run import build_bare_lake
from tests.support.lakes.refused_run import EXCLUDED, ROWS, SAMPLES, many, publish_refused_run


def test_the_share_is_of_what_was_used_and_refused_and_people_refuse_nothing(tmp_path: Path) -> None:
    run = publish_refused_run(tmp_path / "lake", [*ROWS, EXCLUDED]).run()
    refused = measure_refused(run)
    assert (refused.count, refused.usable) == (3, SAMPLES + 1)
    assert refused.share == 3 / (SAMPLES + 1 + 3)
    assert refused.to_words() == f"3 of 244 images ({3 / 244:.1%}) could not be used".replace("%", " %")


def test_reasons_are_counted_with_the_first_file_by_name_as_example(tmp_path: Path) -> None:
    reasons = count_reasons(publish_refused_run(tmp_path / "lake", [*ROWS, EXCLUDED]).run())
    assert reasons.rows() == [
        ("truncated", 2, "cat/a.png", ""),
        ("not an image", 1, "notes.txt", "none of the known formats"),
    ]
    assert tell_reasons(reasons) == [
        "2 truncated, such as cat/a.png",
        "1 not an image, such as notes.txt (none of the known formats)",
    ]


@pytest.mark.parametrize(
    ("config", "usable", "known"),
    [
        ({}, None, SAMPLES),
        ({"samples": None, "dataset": None}, None, SAMPLES),
        ({"samples": SAMPLES + 1}, None, SAMPLES),
        ({"samples": SAMPLES}, None, None),
        ({"samples": SAMPLES}, 60_000, 60_000),
    ],
)
def test_a_run_cut_to_some_samples_knows_its_share_only_if_it_recorded_how_many_there_were(
    config: dict[str, Any], usable: int | None, known: int | None, tmp_path: Path
) -> None:
    refused = measure_refused(publish_refused_run(tmp_path / "lake", many(30), usable=usable, config=config).run())
    assert (refused.count, refused.usable) == (30, known)
    assert refused.share == (None if known is None else 30 / (30 + known))
    assert refused.is_large == (known == SAMPLES), "30 of 60,030 are few, and an unknown share is no reason to warn"
    assert refused.to_words().startswith("30 images could" if known is None else f"30 of {30 + known:,} images (")


@pytest.mark.parametrize(
    ("count", "limit", "is_said"),
    [(4, None, False), (5, None, True), (5, 0.05, False), (1, 0.0, True), (0, 0.0, False)],
)
def test_a_share_above_the_limit_of_the_run_is_part_of_the_answer(
    count: int, limit: float | None, is_said: bool, tmp_path: Path
) -> None:
    config = {"dataset": {"source": "photos"} | ({} if limit is None else {"max_refused": limit})}
    refused = measure_refused(publish_refused_run(tmp_path / "lake", many(count), config=config).run())
    assert refused.max_share == (0.02 if limit is None else limit)
    said = f"{refused.to_words()}: accuracy is of the others."
    assert refused.to_warning() == (said if is_said else None)
    assert refused.to_warning(tested=False) == (f"{refused.to_words()}." if is_said else None)


def test_the_sentence_gives_the_numbers_of_the_brief_example_and_no_share_of_zero() -> None:
    assert Refused(412, 1588, 0.02, "image").to_warning() == (
        "412 of 2,000 images (20.6 %) could not be used: accuracy is of the others."
    )
    assert Refused(1, 99_999, 0.0, "row").to_words() == "1 of 100,000 rows (less than 0.1 %) could not be used"
    assert Refused(0, 0, 0.02, "row").to_words() == "0 of 0 rows (0.0 %) could not be used"
    assert Refused(1, None, 0.0, "row").to_words() == "1 row could not be used"


def test_a_run_without_refused_files_and_one_without_images(tiny_lake: str, tmp_path: Path) -> None:
    run = Lake(tiny_lake).run()
    assert measure_refused(run).count == 0 and count_reasons(run).is_empty()
    build_bare_lake(str(tmp_path / "bare"), images=False, embeddings=False)
    assert measure_refused(Lake(tmp_path / "bare").run()).noun == "row"
