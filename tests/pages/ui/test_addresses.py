"""What an address may ask of the pages: filters, samples and runs, in words where it cannot be answered."""

from pathlib import Path

import polars as pl
import pytest

from lake.query.filters import Clause, Filters
from lake.storage.store import Lake
from pages.ui.session.navigation import ENTRIES
from tests.support.lakes.tiny_lake import build_tiny_lake
from tests.support.servers.apps import NAMES, Open, answer, failures, shown

REFUSED = [
    "no_such_column.is.1",
    "label.is",
    "label.contains.cat",
    "label.between.a,b",
    "loss.between.nan,inf",
    "loss.between.1",
    "sample_id.is.99999999999999999999999",
    "sample_id.is.1e400",
    "correct.is.maybe",
    "__class__.is.x",
    "'; DROP TABLE runs; --",
    "<script>alert(1)</script>.is.1",
    "%00%ff.is.%00",
    "label.is." + ",".join(["cat"] * 500),
    ";".join(["label.is.cat"] * 50),
    "~~~...,,,;;;",
    "label.is.unicorn",
    ".where.__import__('os')",
]


def test_a_filter_in_the_address_narrows_the_counts(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    cats = rows.filter(pl.col("label") == "cat")
    app = open_page(tiny_lake, "samples", f="label.is.cat")
    assert f"{len(cats)} samples pass the filters" in answer(app)
    assert any(f"{len(cats)} of {len(rows)} samples" in m.value for m in app.sidebar.markdown)
    assert app.toggle(key="chip-label.is.cat").label == "label: cat"
    assert app.query_params["f"] == "label.is.cat"


def test_a_chip_switched_off_is_kept_and_no_longer_filters(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    app = open_page(tiny_lake, "samples", f="label.is.cat")
    app.toggle(key="chip-label.is.cat").set_value(False).run()
    assert app.query_params["f"] == "~label.is.cat"
    assert f"{len(rows)} samples pass the filters" in answer(app)
    assert app.toggle(key="chip-~label.is.cat").value is False


def test_a_filter_stays_on_the_next_page_until_it_is_removed(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(tiny_lake, "samples", f="label.is.cat;correct.is.false")
    app.switch_page("../../population_map.py").run()
    assert app.query_params["f"] == "label.is.cat;correct.is.false"
    app.button(key="remove-0").click().run()
    assert app.query_params["f"] == "correct.is.false"
    wrong = rows.filter(~pl.col("correct")).height
    assert f"**All shown: {wrong} of {len(rows)} samples**" in shown(app)


def test_the_form_adds_a_filter(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    app = open_page(tiny_lake, "samples")
    app.selectbox(key="filter-column").set_value("label").run()
    app.multiselect(key="filter-values-label").set_value(["ship", "truck"]).run()
    next(button for button in app.button if button.label == "Add").click().run()
    assert app.query_params["f"] == "label.is.ship,truck"
    vehicles = rows.filter(pl.col("label").is_in(["ship", "truck"])).height
    assert f"{vehicles} samples pass the filters" in answer(app)


def test_a_range_of_the_form_is_a_filter_with_both_its_ends(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    low, high = (float(rows["loss"].drop_nulls().quantile(q, "nearest") or 0) for q in (0.25, 0.75))
    app = open_page(tiny_lake, "samples")
    app.selectbox(key="filter-column").set_value("loss").run()
    app.slider(key="filter-range-loss").set_value((low, high)).run()
    next(button for button in app.button if button.label == "Add").click().run()
    ends = tuple(f"{end:.6g}" for end in (low, high))
    (clause,) = Filters.from_text(app.query_params["f"]).clauses
    assert clause == Clause(column="loss", op="between", values=ends)
    within = rows.filter(pl.col("loss").is_between(float(ends[0]), float(ends[1]))).height
    assert 0 < within < len(rows) and f"{within} samples pass the filters" in answer(app)


def test_a_link_to_another_group_is_followed_within_the_session(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(tiny_lake, "samples", f="label.is.cat")
    finding = Lake(tiny_lake).run().scan("findings").sort("finding_id").collect().row(1, named=True)
    app.query_params["f"] = finding["filter"]
    app.run()
    assert f"{finding['n']} samples pass the filters" in answer(app)
    assert app.query_params["f"] == finding["filter"]
    app.query_params.clear()
    app.run()
    assert app.query_params["f"] == finding["filter"]


@pytest.mark.parametrize("text", REFUSED, ids=[text[:24] for text in REFUSED])
def test_a_filter_the_run_cannot_answer_is_refused_in_words(
    text: str, tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(tiny_lake, f=text)
    assert not failures(app)
    assert "filter was ignored" in app.toast[0].value
    assert [title.value for title in app.title] == ["Overview"]
    assert any(f"{len(rows)} of {len(rows)} samples" in m.value for m in app.sidebar.markdown)
    assert "f" not in app.query_params


@pytest.mark.parametrize("name", NAMES)
def test_filters_that_nothing_passes_leave_every_page_standing(name: str, tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, name, f="loss.between.900,901")
    assert not failures(app)
    assert len(app.title) == 1


@pytest.mark.parametrize("sample", ["-1", "999999", "x", "１２", "1e9", "9" * 40, "<b>"])
@pytest.mark.parametrize("name", ["similar", "loss_analysis"])
def test_a_sample_number_nobody_has_is_answered_in_words(
    name: str, sample: str, tiny_lake: str, open_page: Open
) -> None:
    app = open_page(tiny_lake, name, sample=sample)
    assert not failures(app)
    assert [title.value for title in app.title] == [next(e.title for e in ENTRIES if e.name == name)]


def test_an_address_cannot_bring_links_or_images_of_its_own(tiny_lake: str, open_page: Open) -> None:
    for text in ("label.is.![x](https://example.org/x.png)", "[x](https://example.org).is.1"):
        app = open_page(tiny_lake, f=text.replace("(", "%28").replace(")", "%29"))
        labels = [toggle.label for toggle in app.toggle]
        assert "](http" not in "\n".join([shown(app), *labels])


def test_a_run_that_does_not_exist_is_answered_with_the_latest(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, run="20991231-235959-ffffff")
    assert not app.exception
    assert "'20991231-235959-ffffff' is not in this lake" in app.error[0].value
    assert Lake(tiny_lake).run().run_id in app.error[0].value


def test_a_new_run_is_offered_and_not_forced_on_the_reader(lake_copy: Path, open_page: Open) -> None:
    old = Lake(lake_copy).run()
    build_tiny_lake(str(lake_copy), run_id="20260102-000000-bbbbbb", samples=80)
    app = open_page(str(lake_copy), "samples", run=old.run_id)
    assert "A newer run is published" in shown(app)
    assert "240 samples" in answer(app)
    assert "You go on reading 20260101-000000-aaaaaa" in shown(app)
    (newest,) = [link.proto for link in app.get("page_link") if link.proto.label == "Read the newest"]
    assert "run=20260102-000000-bbbbbb" in newest.query_string
    app.selectbox(key="run_picker").set_value("20260102-000000-bbbbbb").run()
    assert "A newer run is published" not in shown(app)
    assert app.query_params["run"] == "20260102-000000-bbbbbb"
    assert "80 samples" in answer(app)
