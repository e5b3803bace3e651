"""What could not be used, and how the rest was understood, is kept with the run and seen; of nothing, nothing is."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.query.refused import measure_refused
from lake.storage.attempts import record_attempt
from lake.storage.store import Lake
from pages.text.understood import ASSUMED, UNDERSTOOD
from tests.support.lakes import refused_run
from tests.support.lakes.refused_run import EXCLUDED, ROWS, SAMPLES, many, publish_refused_run, quarantine
from tests.support.lakes.tiny_lake import publish_tiny_run, run_facts, stage_all, tiny_tables
from tests.support.servers.apps import Open, answer, failures, percent, shown
from tests.support.servers.reports import report_of, words_of

REFUSED = [("a.png", "truncated", "cut"), ("b.png", "zero bytes", ""), ("c.png", "truncated", "short")]
STOPPED = "The last refresh of photos stopped 0 minutes ago: "


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake whose run has three unusable files, one excluded sample, and a source that was unclear."""
    root = tmp_path_factory.mktemp("few") / "lake"
    return publish_refused_run(
        root, [*ROWS, EXCLUDED], understood=refused_run.UNDERSTOOD, assumed=refused_run.ASSUMED
    ).root


@pytest.fixture(scope="module")
def much(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake in whose run 60 of 300 files could not be used."""
    return publish_refused_run(tmp_path_factory.mktemp("much") / "lake", many(60)).root


def rows_in(part: Any) -> list[tuple[Any, ...]]:
    """The rows of the table in an expander."""
    return list(part.dataframe[0].value.itertuples(index=False, name=None))


def test_a_run_reads_the_quarantine_it_was_published_with(tmp_path: Path) -> None:
    lake = publish_refused_run(tmp_path / "lake", ROWS)
    run = lake.run()
    lake.stage("quarantine", quarantine(ROWS[:1]))
    assert run.scan("quarantine").collect().height == 3
    assert run.verify()


def test_a_run_from_before_there_was_one_has_an_empty_quarantine(tiny_lake: str) -> None:
    run = Lake(tiny_lake).run()
    run._versions = {name: version for name, version in run._versions.items() if name != "quarantine"}
    assert run.scan("quarantine").collect().is_empty()
    assert measure_refused(run).count == 0


@pytest.mark.parametrize("page", ["overview", "data_quality"])
def test_pages_say_how_many_files_could_not_be_used_and_why_and_nothing_where_all_could(
    page: str, few: str, tiny_lake: str, open_page: Open
) -> None:
    app = open_page(few, page)
    assert not failures(app)
    (part,) = (part for part in app.expander if part.label == "3 files could not be used")
    assert part.caption[0].value == f"3 of {SAMPLES + 4} images ({percent(3 / (SAMPLES + 4))}) could not be used."
    assert rows_in(part) == [
        ("truncated", 2, "cat/a.png", ""),
        ("not an image", 1, "notes.txt", "none of the known formats"),
    ]
    assert not [part for part in open_page(tiny_lake, page).expander if "could not be used" in part.label]


def test_a_large_share_is_part_of_the_answer_and_a_small_one_is_not(
    few: str, much: str, tiny_lake: str, open_page: Open
) -> None:
    rows = Lake(much).run().scan("quarantine").collect()
    share = len(rows) / (len(rows) + Lake(much).run().scan("samples").collect().height)
    said = f"60 of 300 images ({percent(share)}) could not be used: accuracy is of the others."
    assert share == 0.2
    assert answer(open_page(much)).endswith(f" {said}")
    assert said.replace("\u00a0", " ") in words_of(report_of(much)).replace("\u00a0", " ")
    for root in (few, tiny_lake):
        assert "could not be used" not in answer(open_page(root))
        assert "accuracy is of the others" not in report_of(root)


@pytest.mark.parametrize("page", ["runs", "data_quality"])
def test_how_the_source_was_understood_is_shown_and_nothing_if_it_is_plain(
    page: str, few: str, tiny_lake: str, open_page: Open
) -> None:
    app = open_page(few, page)
    assert not failures(app)
    parts = {part.label: part for part in app.expander}
    (listed,) = parts[UNDERSTOOD].markdown
    assert listed.value == "- Column 'y' holds the labels.\n- Values from 0 to \\*4,095\\* are scaled to 8 bits."
    assert rows_in(parts[ASSUMED]) == [("Folders of two levels may name the class.", "class_level", "2")]
    assert not {UNDERSTOOD, ASSUMED} & {part.label for part in open_page(tiny_lake, page).expander}


def test_the_report_tells_reasons_and_what_was_understood_and_nothing_of_nothing(few: str, tiny_lake: str) -> None:
    words = words_of(report_of(few)).replace("\u00a0", " ")
    assert f"3 of {SAMPLES + 4} images ({3 / (SAMPLES + 4) * 100:.1f} %) could not be used" in words
    assert "truncated 2 cat/a.png" in words
    assert "not an image 1 notes.txt none of the known formats" in words
    assert f"{UNDERSTOOD} {' '.join(refused_run.UNDERSTOOD)} {ASSUMED}" in words
    assert "Folders of two levels may name the class. class_level 2" in words
    plain = report_of(tiny_lake)
    assert not [text for text in (UNDERSTOOD, ASSUMED, "could not be used") if text in plain]


def test_a_refresh_that_stopped_before_any_run_is_told_on_the_empty_page(tmp_path: Path, open_page: Open) -> None:
    record_attempt(Lake(tmp_path / "lake"), "photos", "No image *can* be used.", REFUSED)
    app = open_page(str(tmp_path / "lake"))
    assert not failures(app)
    assert [part.value for part in app.warning] == [f"{STOPPED}No image \\*can\\* be used."]
    (part,) = (part for part in app.expander if part.label == "What that refresh could not use")
    assert rows_in(part) == [("truncated", 2, "a.png", "cut"), ("zero bytes", 1, "b.png", "")]


def test_a_refresh_that_stopped_after_the_run_is_told_on_the_overview_alone_until_the_next_run(
    tmp_path: Path, open_page: Open
) -> None:
    lake = publish_refused_run(tmp_path / "lake", [])
    record_attempt(lake, "photos", "The data are unclear:\n1. Is 0 a class?\n   labels = {}", [])
    app = open_page(lake.root)
    assert not failures(app)
    assert STOPPED + "The data are unclear" in shown(app)
    (part,) = (part for part in app.expander if part.label == "What that refresh asks")
    assert part.code[0].value == "1. Is 0 a class?\n   labels = {}" and not part.dataframe
    assert STOPPED not in shown(open_page(lake.root, "runs"))
    newer = tmp_path / "newer"
    record_attempt(Lake(newer), "Tiny drawings", "No image can be used.", REFUSED)
    publish_tiny_run(newer)
    assert STOPPED not in shown(open_page(str(newer)))


def test_of_a_run_without_a_test_split_the_share_is_said_without_an_accuracy(tmp_path: Path, open_page: Open) -> None:
    split = pl.when(pl.col("split") == "test").then(pl.lit("validation")).otherwise("split").alias("split")
    lake = Lake(tmp_path / "lake")
    tables = tiny_tables()
    stage_all(lake, tables | {"samples": tables["samples"].with_columns(split), "quarantine": quarantine(many(60))})
    lake.publish(run_facts() | {"config": "{}"})
    app = open_page(lake.root)
    said = [part.value.replace("\u00a0", " ") for part in app.info]
    assert "This run has no labelled test samples. 60 of 300 images (20.0 %) could not be used." in said
