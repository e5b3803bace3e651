"""Overview, Data quality and the report say which patients lie in training and in test."""

import json
from pathlib import Path

import polars as pl
import pytest

from lake.storage.store import Lake
from pages.report.document import render_report
from tests.support.lakes.tiny_data import dataset_id_of
from tests.support.lakes.tiny_lake import run_facts, stage_all, tiny_tables
from tests.support.servers.apps import Open, failures, shown


def publish(root: Path, column: str, value: pl.Expr, *, group_column: str | None = None) -> Lake:
    """The tiny lake with a column of text."""
    lake, tables = Lake(root), tiny_tables()
    entry = pl.struct(name=pl.lit(column), value=value.cast(pl.String), number=pl.lit(None, pl.Float64))
    stage_all(lake, tables | {"samples": tables["samples"].with_columns(metadata=pl.concat_list(entry))})
    config = json.dumps({"dataset": {"source": "photos", "group_column": group_column}})
    facts = run_facts(dataset_id=dataset_id_of(240, 0)) | {"config": config}
    lake.publish(facts | {"metadata": [{"name": column, "kind": "text"}]})
    return lake


@pytest.mark.parametrize("group_column", [None, "patient"])
def test_patients_on_both_sides_are_said_on_the_pages_and_in_the_report(
    group_column: str | None, tmp_path: Path, open_page: Open
) -> None:
    lake = publish(tmp_path / "lake", "patient", pl.col("sample_id") % 12, group_column=group_column)
    tested = lake.run().scan("samples").filter(split="test").collect()["sample_id"] % 12
    app, overview = (open_page(lake.root, name) for name in ("data_quality", "overview"))
    sentence = f"All {tested.n_unique()} values of **patient** in the test split lie in train too: accuracy on unseen"
    assert not failures(app) and sentence in shown(app)
    assert not failures(overview) and sentence in shown(overview)
    assert ("Set group_column" in shown(app)) is (group_column is None)
    assert sentence.replace("**patient**", "<strong>patient</strong>") in render_report(lake.run(), None)


def test_of_columns_by_chance_nothing_is_said(tmp_path: Path, open_page: Open) -> None:
    """The class of a sample is its number modulo 4, so that values of the column have all classes."""
    lake = publish(tmp_path / "lake", "weather", pl.col("sample_id") // 4 % 12)
    said = shown(open_page(lake.root, "data_quality"))
    assert "in the test split lie in train" not in said + render_report(lake.run(), None)
