"""Files that could not be used are kept with the run, pinned, and told on the Overview."""

from pathlib import Path
from typing import Any

import polars as pl

from lake.contracts.quality import LEFT_OUT
from lake.contracts.tables import make_frame
from lake.storage.store import Lake
from pages.ui.review.quarantine import count_reasons
from tests.support.lakes.tiny_lake import RUN_ID, run_facts, stage_all, tiny_tables
from tests.support.servers.apps import Open, failures

ROWS = [
    {"source_name": "cat/b.png", "reason": "truncated", "detail": ""},
    {"source_name": "cat/a.png", "reason": "truncated", "detail": ""},
    {"source_name": "notes.txt", "reason": "not an image", "detail": "none of the known formats"},
]


def quarantine(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return make_frame("quarantine", rows).with_columns(dataset_id=pl.lit("tiny-240-0"))


def published(root: Path, rows: list[dict[str, Any]]) -> Lake:
    lake = Lake(root)
    stage_all(lake, tiny_tables() | {"quarantine": quarantine(rows)})
    lake.publish(run_facts())
    return lake


def test_a_run_reads_the_quarantine_it_was_published_with(tmp_path: Path) -> None:
    lake = published(tmp_path / "lake", ROWS)
    run = lake.run()
    lake.stage("quarantine", quarantine(ROWS[:1]))
    assert run.scan("quarantine").collect().height == 3
    assert run.verify()


def test_a_run_from_before_there_was_one_has_an_empty_quarantine(tiny_lake: str) -> None:
    run = Lake(tiny_lake).run()
    run._versions = {name: version for name, version in run._versions.items() if name != "quarantine"}
    assert run.scan("quarantine").collect().is_empty()


def test_reasons_are_counted_with_examples() -> None:
    assert count_reasons(quarantine(ROWS)).rows() == [
        ("truncated", 2, "cat/a.png, cat/b.png"),
        ("not an image", 1, "notes.txt"),
    ]


def test_the_overview_says_how_many_files_could_not_be_used_and_nothing_where_all_could(
    tmp_path: Path, tiny_lake: str, open_page: Open
) -> None:
    out = {"source_name": "cat/c.png", "reason": LEFT_OUT, "detail": "", "sample_id": 3}
    published(tmp_path / "lake", [*ROWS, out])
    app = open_page(str(tmp_path / "lake"))
    assert not failures(app)
    assert "3 files could not be used" in [part.label for part in app.expander]
    assert not [part for part in open_page(tiny_lake).expander if "could not be used" in part.label]
    assert Lake(tiny_lake).run().run_id == RUN_ID
