"""Columns of the source that are carried along are columns of the table of samples: filters, colours and axes."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest

from lake.contracts.samples import Samples
from lake.query import joined_samples
from lake.query.filters import Clause, Filters
from lake.query.integers import ids_as_text
from lake.query.joined_samples import metadata_columns, scan_samples
from lake.query.pivots import Axis, pivot
from lake.query.queries import HELD_OUT
from lake.storage.store import Lake, Run
from pages.charts.projection_layers import lay_out
from pages.charts.projection_state import MapState
from pages.report.pictures import NO_NEIGHBORS
from pages.ui.core import data
from pages.ui.map.projection_offers import color_columns
from pages.ui.table.table_columns import axes_of, columns_of
from pipeline.commands.export import export
from pipeline.data.dataset import Dataset
from pipeline.data.incoming.add import add_new_data
from pipeline.data.review_corrections import apply_verdicts
from pipeline.engine.progress import Progress
from pipeline.findings.candidate_groups import all_groups
from tests.support.data.drawn import drawn_dataset, tiny_settings
from tests.support.data.pictures import picture
from tests.support.lakes.tiny_lake import run_facts, stage_all, tiny_tables
from tests.support.servers.apps import Open, failures

SAMPLES = 80
KINDS = {"camera": "text", "iso": "number", "file": "text", "year": "integer", "slide": "integer", "patient": "integer"}
FORMULA = "=1+1"
FIRST_SLIDE, FIRST_PATIENT = 20_240_115_000_000_001, 90_071_992_547_409_931
"""Beyond 2**53: as floats, two of these that follow each other are the same number."""


def carried(size: int) -> dict[str, pl.Series]:
    """Two cameras in turn, a number that is missing once, and a text that no two samples share.

    Of the integers, `year` counts through 20 and is missing once, `slide` differs for all samples, `patient` has four.
    """
    iso: list[float | None] = [100.0 + i for i in range(size)]
    iso[3] = None
    cameras = ["front" if i % 2 else "rear" for i in range(size)]
    return {
        "camera": pl.Series(cameras),
        "iso": pl.Series(iso, dtype=pl.Float64),
        "file": pl.Series([FORMULA if i == 7 else f"img_{i}" for i in range(size)]),
        "year": pl.Series([None if i == 5 else 2001 + i % 20 for i in range(size)], dtype=pl.Int64),
        "slide": pl.Series([FIRST_SLIDE + i for i in range(size)], dtype=pl.Int64),
        "patient": pl.Series([FIRST_PATIENT + i % 4 for i in range(size)], dtype=pl.Int64),
    }


class Older:
    """A run of before there were integers."""

    groups: ClassVar[dict[str, dict[str, str]]] = {}
    metadata: ClassVar[dict[str, str]] = {"iso": "number", "year": "number"}

    def scan(self, name: str) -> pl.LazyFrame:
        raise AssertionError(f"nothing asks for {name}")


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
        {"name": "year", "value": "2001", "number": 2001.0},
        {"name": "slide", "value": str(FIRST_SLIDE), "number": float(FIRST_SLIDE)},
        {"name": "patient", "value": str(FIRST_PATIENT), "number": float(FIRST_PATIENT)},
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


def test_integers_are_integers_with_all_their_digits(run: Run) -> None:
    samples = scan_samples(run).collect()
    for name in ("year", "slide", "patient"):
        assert samples.schema[name] == pl.Int64
        assert samples[name].to_list() == [carried(SAMPLES)[name][i] for i in samples["sample_id"]], name
    scanned = run.scan("samples").sort("sample_id").select(*joined_samples.metadata_columns(run)).collect()
    assert {name: scanned[name].to_list() for name in KINDS} == {n: c.to_list() for n, c in carried(SAMPLES).items()}


def test_a_run_of_before_whose_integers_are_numbers_keeps_its_columns() -> None:
    older = replace(dataset(), metadata={"iso": carried(SAMPLES)["iso"], "year": carried(SAMPLES)["year"].cast(float)})
    assert older.metadata_kinds == {"iso": "number", "year": "number"}
    read = older.frame.select(metadata_columns(Older()))
    assert read.schema == {"iso": pl.Float64, "year": pl.Float64}
    assert read["year"].to_list()[:6] == [2001.0, 2002.0, 2003.0, 2004.0, 2005.0, None]


@pytest.mark.parametrize(
    "line", ["slide == 20240115000000012", "slide > 20240115000000011 and slide <= 20240115000000012"]
)
def test_one_of_many_ids_that_are_the_same_as_floats_is_found(run: Run, line: str) -> None:
    samples = scan_samples(run)
    for clause in (Clause.where(line), Clause(column="slide", op="is", values=("20240115000000012",))):
        found = Filters(clauses=(clause,)).checked(samples.collect_schema()).apply(samples).collect()
        assert found["sample_id"].to_list() == [11]


def test_ids_are_slices_by_value_and_other_integers_by_their_ends(run: Run) -> None:
    samples = scan_samples(run).filter(pl.col("label").is_not_null()).collect()
    groups = all_groups(samples, at_least=1, source_columns=("year", "slide", "patient"))
    by_name = {group.name: group for group in groups}
    name = f"Images with patient {FIRST_PATIENT + 1}"
    assert by_name[name].filters.to_text() == f"patient.is.{FIRST_PATIENT + 1}"
    assert set(samples[by_name[name].rows]["patient"]) == {FIRST_PATIENT + 1}
    lowest = by_name["Images with low year (the 2 % lowest, up to 2001)"]
    assert lowest.filters.to_text() == "year.between.2001,2001"
    assert not [group for group in groups if group.name.startswith("Images with slide")], "as many values as samples"
    for group in groups:
        kept = group.filters.checked(samples.schema).apply(samples.lazy()).collect()
        assert group.kind == "confusion" or set(samples[group.rows]["sample_id"]) <= set(kept["sample_id"]), group.name


def test_a_run_without_them_has_the_columns_it_had(tiny_lake: str) -> None:
    run = Lake(tiny_lake).run()
    assert run.metadata == {}
    columns = set(scan_samples(run).collect_schema().names())
    assert columns == joined_samples.reserved_columns() - {"row"} | set(run.groups)


def test_few_values_and_numbers_are_axes_and_a_text_of_many_values_is_not(run: Run) -> None:
    assert set(KINDS) <= set(columns_of(run))
    assert set(KINDS) & set(axes_of(run)) == {"camera", "iso", "year", "patient"}
    assert set(KINDS) & set(color_columns(run)) == {"camera", "iso", "year", "patient"}


def test_years_are_measured_as_numbers_are_and_ids_are_categories(run: Run) -> None:
    assert data.values(run, "year", 5) == ([2001, 2020], True)
    assert data.values(run, "slide", 2) == ([FIRST_SLIDE, FIRST_SLIDE + 1], False)
    years, patients = data.axis(run, "year"), data.axis(run, "patient")
    assert years.cuts is not None and all(isinstance(cut, int) for cut in years.cuts)
    assert years.text(1) == f"{int(years.cuts[0]) + 1} to {years.cuts[1]}"
    assert patients.cuts is None and patients.text(FIRST_PATIENT) == str(FIRST_PATIENT)
    assert (data.color_scale(run, "year").kind, data.color_scale(run, "year").whole) == ("linear", True)
    assert data.color_scale(run, "patient").domain == [str(FIRST_PATIENT + i) for i in range(4)]


@pytest.mark.parametrize("column", ["year", "patient"])
def test_each_cell_of_a_pivot_by_integers_is_found_by_its_filter(run: Run, column: str) -> None:
    samples = scan_samples(run)
    axes = data.axis(run, column), Axis("predicted")
    cells = pivot(samples, *axes).collect()
    assert cells["n"].sum() == samples.filter(HELD_OUT).select(pl.len()).collect().item()
    for cell in cells.iter_rows(named=True):
        filters = Filters(clauses=(axes[0].clause(cell["down"]), axes[1].clause(cell["across"])))
        again = Filters.from_text(filters.to_text()).checked(samples.collect_schema())
        assert again.apply(samples.filter(HELD_OUT)).collect().height == cell["n"]


def test_a_browser_gets_ids_as_text_and_years_as_integers(run: Run) -> None:
    samples = scan_samples(run).collect()
    shown = ids_as_text(samples)
    assert shown.schema["slide"] == pl.String
    assert shown.schema["year"] == pl.Int64
    assert shown["slide"].to_list() == [str(FIRST_SLIDE + i) for i in samples["sample_id"]]
    state = MapState(color="patient")
    layers = lay_out(samples, Filters(), state, neighbors=NO_NEIGHBORS, folder="", picture_url="")
    assert set(layers.dots["patient"]) == {str(FIRST_PATIENT + i) for i in range(4)}
    picture_colors = data.color_scale(run, "patient").rgb(layers.dots["patient"])
    assert len({tuple(color) for color in picture_colors.tolist()}) == 4


def test_pages_colour_filter_and_pivot_by_them(root: str, open_page: Open) -> None:
    for page, query in {
        "population_map": {"color": "patient"},
        "samples": {"f": "camera.is.front", "columns": "label,camera,iso,year,slide", "pivot": "patient,year"},
    }.items():
        app = open_page(root, page, **query)
        assert not failures(app) and not app.toast
        if page == "samples":
            table = app.dataframe[0].value
            assert table["slide"].tolist() == [str(FIRST_SLIDE + i) for i in table["sample_id"]]


def test_the_exported_csv_is_exact_and_says_that_a_spreadsheet_would_run_a_text(run: Run, tmp_path: Path) -> None:
    written = export(run, tmp_path / "samples.csv")
    assert written.path.read_bytes().startswith(b"sample_id,")
    rows = pl.read_csv(written.path)
    assert rows["slide"].to_list() == [FIRST_SLIDE + i for i in rows["sample_id"]]
    assert rows.filter(sample_id=7)["file"].item() == FORMULA
    assert "(1 text of which begins like a formula: for Excel, " in written.to_sentence()
    others = export(run, tmp_path / "others.csv", condition="sample_id != 7")
    assert "formula" not in others.to_sentence()
    as_parquet = export(run, tmp_path / "samples.parquet")
    assert pl.read_parquet(as_parquet.path)["slide"].to_list() == rows["slide"].to_list()
    assert "formula" not in as_parquet.to_sentence()


def test_the_filter_bar_asks_for_a_range_of_years_and_for_the_digits_of_ids(root: str, open_page: Open) -> None:
    app = open_page(root, "samples")
    app.selectbox(key="filter-column").set_value("year").run()
    assert app.slider(key="filter-range-year").value == (2001, 2020)
    app.slider(key="filter-range-year").set_value((2002, 2003)).run()
    next(button for button in app.button if button.label == "Add").click().run()
    assert app.session_state["filters"] == "year.between.2002,2003"
    app.selectbox(key="filter-column").set_value("patient").run()
    assert app.multiselect(key="filter-values-patient").options == [str(FIRST_PATIENT + i) for i in range(4)]
    assert not failures(app)


def test_they_follow_their_sample_through_corrections_and_new_data(tmp_path: Path) -> None:
    out = pl.DataFrame({"sample_id": [0, 2], "verdict": "exclude", "label": pl.Series([None, None], dtype=pl.String)})
    kept = apply_verdicts(dataset(), out).dataset
    assert kept.metadata["file"].to_list()[:3] == ["img_1", "img_3", "img_4"]
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.png").write_bytes(picture(1))
    grown = add_new_data(
        dataset(), tiny_settings(tmp_path, new_data=tmp_path / "new"), Lake(tmp_path / "lake"), Progress(quiet=True)
    )
    assert grown.metadata["camera"].to_list()[-2:] == ["front", None]
    assert Samples.is_valid(grown.frame, cast=True)


def test_what_is_carried_along_changes_the_run_and_retrains_nothing() -> None:
    plain, more = drawn_dataset(SAMPLES), dataset()
    assert plain.content() == more.content() and np.array_equal(plain.label, more.label)
    assert plain.besides() == [] != more.besides()
