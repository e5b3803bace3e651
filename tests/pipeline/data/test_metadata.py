"""Columns of the source that are carried along are columns of the table of samples: filters, colours and axes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lake.contracts.samples import Samples
from lake.query import joined_samples
from lake.query.filters import Clause, Filters
from lake.query.joined_samples import scan_samples
from lake.storage.store import Lake, Run
from pages.ui.table.table_columns import axes_of, columns_of
from pipeline.data.dataset import Dataset
from pipeline.data.incoming import add_new_data
from pipeline.data.review_corrections import apply_verdicts
from pipeline.engine.progress import Progress
from tests.support.data.drawn import drawn_dataset
from tests.support.data.pictures import picture
from tests.support.lakes.tiny_lake import run_facts, stage_all, tiny_tables
from tests.support.servers.apps import Open, failures

SAMPLES = 80
KINDS = {"camera": "text", "iso": "number", "file": "text"}


def carried(size: int) -> dict[str, pl.Series]:
    """Two cameras in turn, a number that is missing once, and a text that no two samples share."""
    iso: list[float | None] = [100.0 + i for i in range(size)]
    iso[3] = None
    cameras = ["front" if i % 2 else "rear" for i in range(size)]
    return {
        "camera": pl.Series(cameras),
        "iso": pl.Series(iso, dtype=pl.Float64),
        "file": pl.Series([f"img_{i}" for i in range(size)]),
    }


def dataset() -> Dataset:
    return replace(drawn_dataset(SAMPLES), metadata=carried(SAMPLES))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake with one run whose samples carry the columns."""
    folder = str(tmp_path_factory.mktemp("metadata") / "lake")
    lake, tables = Lake(folder), tiny_tables(samples=SAMPLES)
    tables["samples"] = tables["samples"].with_columns(dataset().frame["metadata"])
    stage_all(lake, tables)
    facts = run_facts(dataset_id=f"tiny-{SAMPLES}-0", samples=SAMPLES)
    lake.publish(facts | {"metadata": [{"name": name, "kind": kind} for name, kind in KINDS.items()]})
    return folder


@pytest.fixture
def run(root: str) -> Run:
    return Lake(root).run()


def test_the_samples_table_of_a_dataset_with_more_columns_keeps_its_contract() -> None:
    first, fourth = Samples.validate(dataset().frame, cast=True)["metadata"][[0, 3]]
    assert list(first) == [
        {"name": "camera", "value": "rear", "number": None},
        {"name": "iso", "value": None, "number": 100.0},
        {"name": "file", "value": "img_0", "number": None},
    ]
    assert fourth[1] == {"name": "iso", "value": None, "number": None}
    assert dataset().metadata_kinds == KINDS


def test_they_are_columns_to_filter_by(run: Run) -> None:
    samples = scan_samples(run)
    schema = samples.collect_schema()
    assert schema["camera"] == pl.String and schema["iso"] == pl.Float64
    range_ = Clause(column="iso", op="between", values=("110", "119"))
    wanted = Filters.of(camera="front").with_clause(range_).checked(schema)
    assert wanted.apply(samples).collect()["sample_id"].to_list() == [11, 13, 15, 17, 19]
    line = Filters(clauses=(Clause.where("camera == 'rear' and iso > 175"),)).checked(schema)
    assert line.apply(samples).collect()["sample_id"].to_list() == [76, 78]
    assert Filters(clauses=(Clause(column="iso", op="null"),)).apply(samples).collect()["sample_id"].to_list() == [3]


def test_a_run_without_them_has_the_columns_it_had(tiny_lake: str) -> None:
    run = Lake(tiny_lake).run()
    assert run.metadata == {}
    columns = set(scan_samples(run).collect_schema().names())
    assert columns == joined_samples.reserved_columns() - {"row"} | set(run.groups)


def test_few_values_and_numbers_are_axes_and_a_text_of_many_values_is_not(run: Run) -> None:
    assert {"camera", "iso", "file"} <= set(columns_of(run))
    assert {"camera", "iso", "file"} & set(axes_of(run)) == {"camera", "iso"}


def test_pages_colour_filter_and_pivot_by_them(root: str, open_page: Open) -> None:
    for page, query in {
        "population_map": {"color": "camera"},
        "samples": {"f": "camera.is.front", "columns": "label,camera,iso", "pivot": "camera,iso"},
    }.items():
        app = open_page(root, page, **query)
        assert not failures(app) and not app.toast


def test_they_follow_their_sample_through_corrections_and_new_data(tmp_path: Path) -> None:
    out = pl.DataFrame({"sample_id": [0, 2], "verdict": "exclude", "label": pl.Series([None, None], dtype=pl.String)})
    kept = apply_verdicts(dataset(), out).dataset
    assert kept.metadata["file"].to_list()[:3] == ["img_1", "img_3", "img_4"]
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.png").write_bytes(picture(1))
    grown = add_new_data(dataset(), tmp_path / "new", Lake(tmp_path / "lake"), Progress(quiet=True))
    assert grown.metadata["camera"].to_list()[-2:] == ["front", None]
    assert Samples.is_valid(grown.frame, cast=True)


def test_what_is_carried_along_changes_the_run_and_retrains_nothing() -> None:
    plain, more = drawn_dataset(SAMPLES), dataset()
    assert plain.content() == more.content() and np.array_equal(plain.label, more.label)
    assert plain.besides() == [] != more.besides()
