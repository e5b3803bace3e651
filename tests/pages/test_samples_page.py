"""The table of samples through `AppTest`: order, columns, histograms, losses by two columns, saved views.

What is on screen is computed here again, from rows.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import polars as pl
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from lake.query.filters import MAX_CLAUSES, Filters
from lake.query.joined_samples import scan_samples
from lake.query.saved_views import View, save_view, saved_views, scan_views
from lake.storage.store import Lake
from tests.support.servers.apps import HELD_OUT, Open, answer, failures, shown

TOO_MANY = f"More than {MAX_CLAUSES} filters: remove some first."
HOSTILE = "<img src=x onerror=alert(1)> [x](https://example.org) **bold**"


@pytest.fixture(scope="module")
def samples(tiny_lake: str) -> pl.DataFrame:
    return scan_samples(Lake(tiny_lake).run()).collect()


def ids(app: AppTest) -> list[int]:
    return app.dataframe[0].value["sample_id"].to_list()


def columns(app: AppTest) -> list[str]:
    return [column for column in app.dataframe[0].value.columns if column not in ("sample_id", "image")]


def click(app: AppTest, key: str) -> AppTest:
    return app.button(key=key).click().run()


def charts(app: AppTest) -> list[tuple[dict[str, Any], pl.DataFrame]]:
    """Spec and rows of every chart."""
    protos = [chart.proto for chart in app.get("vega_lite_chart")]
    return [(json.loads(proto.spec), pl.read_ipc_stream(proto.datasets[0].data.data)) for proto in protos]


# --- order and columns


def test_rows_are_sorted_by_several_columns_as_polars_sorts_them(
    tiny_lake: str, samples: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(tiny_lake, "samples", sort="label,-correct,-loss")
    expected = samples.sort(
        "label", "correct", "loss", "sample_id", descending=[False, True, True, False], nulls_last=True
    )
    assert ids(app) == expected["sample_id"].to_list()


def test_the_order_is_added_to_turned_moved_and_left_out(
    tiny_lake: str, samples: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(tiny_lake, "samples")
    assert app.query_params["sort"] == "-loss"
    app.selectbox(key="sort-add").set_value("label").run()
    assert app.query_params["sort"] == "-loss,-label"
    assert click(app, "sort-turn-label").query_params["sort"] == "-loss,label"
    assert click(app, "sort-up-label").query_params["sort"] == "label,-loss"
    expected = samples.sort("label", "loss", "sample_id", descending=[False, True, False], nulls_last=True)
    assert ids(app) == expected["sample_id"].to_list()
    assert click(app, "sort-drop-loss").query_params["sort"] == "label"
    assert click(app, "sort-drop-label").query_params["sort"] == "sample_id"
    assert ids(app) == sorted(samples["sample_id"])
    assert "in the order of their numbers" in shown(app)


def test_columns_are_chosen_by_what_they_are_about_and_stand_in_the_order_of_choice(
    tiny_lake: str, open_page: Open
) -> None:
    app = open_page(tiny_lake, "samples", columns="loss,label")
    assert columns(app) == ["loss", "label"]
    app.button_group(key="columns-The image").set_value(["contrast"]).run()
    assert columns(app) == ["loss", "label", "contrast"]
    app.button_group(key="columns-The model").set_value([]).run()
    assert columns(app) == ["label", "contrast"]
    assert app.query_params["columns"] == "label,contrast"


def test_every_column_of_the_run_can_be_chosen(tiny_lake: str, samples: pl.DataFrame, open_page: Open) -> None:
    app = open_page(tiny_lake, "samples", columns=",".join(samples.columns))
    assert set(columns(app)) == set(samples.columns) - {"sample_id"}
    assert "Left out, as this run has nothing like it: columns 'sample\\_id'." in [toast.value for toast in app.toast]


def test_a_copied_address_shows_the_same_table_in_another_session(tiny_lake: str, open_page: Open) -> None:
    first = open_page(tiny_lake, "samples", f="label.is.cat", sort="-margin", columns="label,margin")
    first.toggle(key="pivot-on").set_value(True).run()
    again = open_page(tiny_lake, "samples", **{name: first.query_params[name] for name in first.query_params})
    assert dict(again.query_params) == dict(first.query_params)
    assert (ids(again), columns(again)) == (ids(first), ["label", "margin"])
    assert len(charts(again)) == len(charts(first)) == 2


def test_the_state_of_the_table_survives_a_look_at_another_page(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, "samples", sort="-margin")
    app.switch_page("../../runs.py").run()
    for name in ("sort", "columns", "pivot"):
        app.query_params.pop(name, None)
    app.switch_page("../../samples.py").run()
    assert app.query_params["sort"] == "-margin"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"sort": "-nope"}, "Left out, as this run has nothing like it: sort '-nope'."),
        ({"columns": "label,__class__"}, r"Left out, as this run has nothing like it: columns '\_\_class\_\_'."),
        ({"pivot": "label"}, "Left out, as this run has nothing like it: a pivot, which takes two columns."),
        ({"columns": "a,b,c,d,e"}, "columns 'a', columns 'b', columns 'c' and 2 more."),
        ({"columns": "<img src=x>"}, r"columns '\<img src=x\>'."),
    ],
)
def test_what_the_address_asks_for_in_vain_is_said_in_one_sentence(
    query: dict[str, str], message: str, tiny_lake: str, open_page: Open
) -> None:
    app = open_page(tiny_lake, "samples", **query)
    assert not failures(app)
    assert [toast.value for toast in app.toast][-1].endswith(message)


@pytest.mark.parametrize(("narrowed", "opens"), [("", True), ("label.is.cat;split.is.test", False)])
def test_a_selected_row_opens_its_sample_unless_filters_leave_fewer_rows(
    narrowed: str, opens: bool, tiny_lake: str, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(st, "dataframe", lambda *_, **__: {"selection": {"rows": [59]}})
    app = open_page(tiny_lake, "samples", sort="sample_id", f=narrowed)
    assert not failures(app)
    assert ("**Sample 59** · " in shown(app)) == opens


# --- histograms and losses by two columns


def test_the_histograms_count_the_rows_that_pass_over_all(
    tiny_lake: str, samples: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(tiny_lake, "samples", f="label.is.cat", columns="label,loss,contrast,cluster_kmeans")
    found = charts(app)
    assert [spec["title"]["text"] for spec, _ in found] == ["Loss (nats)", "Contrast"]
    cats = samples.filter(label="cat")
    for (_, bins), column in zip(found, ["loss", "contrast"], strict=True):
        assert bins["n_all"].sum() == samples[column].count()
        assert bins["n"].sum() == len(cats)
        lowest = bins.row(0, named=True)
        inside = pl.col(column) < lowest["high"]
        assert (lowest["n"], lowest["n_all"]) == (cats.filter(inside).height, samples.filter(inside).height)


def test_the_losses_by_two_columns_are_those_of_the_rows(
    tiny_lake: str, samples: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(tiny_lake, "samples", pivot="label,predicted", columns="label", f="split.is.test")
    ((_, cells),) = charts(app)
    rows = samples.filter(HELD_OUT, split="test").group_by("label", "predicted").agg(pl.len(), pl.mean("loss"))
    expected = {(label, predicted): (n, loss) for label, predicted, n, loss in rows.iter_rows()}
    assert {(row["down"], row["across"]) for row in cells.iter_rows(named=True)} == set(expected)
    for row in cells.iter_rows(named=True):
        n, loss = expected[row["down"], row["across"]]
        assert (row["n"], row["few"]) == (n, n < 20)
        assert row["mean_loss"] == pytest.approx(loss)
    table = app.dataframe[1].value
    assert table["mean_loss"].to_list() == cells["mean_loss"].to_list()
    assert f"{cells['few'].sum()} cells are grey: fewer than 20 samples" in shown(app)
    top = cells.filter(~pl.col("few")).sort("mean_loss", descending=True).row(0, named=True)
    assert f"**{top['mean_loss']:.3g} nats** ({top['interval']}; n {top['n']}) at label {top['down']}" in shown(app)


def test_the_two_columns_of_the_losses_change_places_when_one_is_chosen_twice(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, "samples")
    assert "pivot" not in app.query_params
    app.toggle(key="pivot-on").set_value(True).run()
    assert app.query_params["pivot"] == "label,bg_lightness"
    app.selectbox(key="pivot-across").set_value("label").run()
    assert app.query_params["pivot"] == "bg_lightness,label"
    app.toggle(key="pivot-on").set_value(False).run()
    assert "pivot" not in app.query_params


def test_losses_of_filters_that_no_held_out_sample_passes_are_a_sentence(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, "samples", pivot="label,predicted", f="split.is.train")
    assert not failures(app)
    assert "No labelled held-out sample passes the filters" in app.info[0].value


# --- saved views


def save(app: AppTest, name: str, person: str = "Ada", note: str = "") -> AppTest:
    for key, text in {"view-name": name, "view-note": note, "reviewer": person}.items():
        app.text_input(key=key).set_value(text)
    return click(app.run(), "view-save")


def view_links(app: AppTest) -> dict[str, dict[str, str]]:
    """Label -> query of the link that opens each saved view."""
    found = [link.proto for link in app.get("page_link") if link.proto.label.startswith("**")]
    return {proto.label: dict(parse_qsl(proto.query_string)) for proto in found}


def follow(app: AppTest, query: dict[str, str]) -> None:
    """Open a link to the page that is shown."""
    app.query_params.clear()
    app.query_params.update(query)
    app.run()


def test_a_view_saved_in_one_session_opens_in_another(lake_copy: Path, open_page: Open) -> None:
    first = open_page(
        str(lake_copy), "samples", f="label.is.cat", sort="label,-margin", columns="label,margin", pivot="label,split"
    )
    save(first, "odd cats", note="to relabel")
    second = open_page(str(lake_copy), "samples")
    query = view_links(second)["**odd cats**"]
    assert "Ada, " in shown(second) and "UTC · to relabel" in shown(second)
    follow(second, query)
    assert dict(second.query_params) == dict(first.query_params)
    assert (ids(second), columns(second), answer(second)) == (ids(first), columns(first), answer(first))


def test_a_view_of_that_name_is_replaced_and_can_be_taken_back(lake_copy: Path, open_page: Open) -> None:
    app = save(open_page(str(lake_copy), "samples", sort="-margin"), "mine")
    app.text_input(key="view-name").set_value("mine").run()
    assert app.button(key="view-save").label == "Replace the view"
    save(click(app, "sort-turn-margin"), "mine", "Bob")
    assert {name: query["sort"] for name, query in view_links(app).items()} == {"**mine**": "margin"}
    app.text_input(key="view-drop-by-mine").set_value("Cem").run()
    app = click(app, "view-drop-mine")
    assert view_links(app) == {}
    rows = scan_views(Lake(lake_copy), "tiny-240-0").collect()
    assert rows["saved_by"].to_list() == ["Ada", "Bob", "Cem", "Cem"]


def test_a_view_that_names_what_the_run_lacks_opens_with_the_rest(lake_copy: Path, open_page: Open) -> None:
    run = Lake(lake_copy).run()
    save_view(run, View("old", "Ada", "", "label.is.cat;gone.is.1", "label,gone,loss", "-gone,-loss", "label,gone"))
    app = open_page(str(lake_copy), "samples")
    follow(app, *view_links(app).values())
    assert not failures(app)
    assert columns(app) == ["label", "loss"]
    assert dict(app.query_params) == {"run": run.run_id, "f": "label.is.cat", "columns": "label,loss", "sort": "-loss"}
    said = [toast.value for toast in app.toast]
    assert "A part of the address's filter was ignored: There is no column 'gone' to filter by." in said
    assert "Left out, as this run has nothing like it: columns 'gone', sort '-gone', pivot 'gone'." in said


def test_a_hostile_name_and_note_of_a_view_are_shown_as_text(lake_copy: Path, open_page: Open) -> None:
    app = save(open_page(str(lake_copy), "samples"), HOSTILE, person=HOSTILE, note=HOSTILE)
    assert not failures(app)
    (label,) = view_links(app)
    said = [label.removeprefix("**").removesuffix("**"), *(c.value for c in app.caption if "onerror" in c.value)]
    assert len(said) == 2
    for text in said:
        assert r"\<img src=x onerror=alert\(1\)\>" in text
        assert "](" not in text and "://" not in text
    (kept,) = saved_views(scan_views(Lake(lake_copy), "tiny-240-0")).collect()["name"]
    assert kept == HOSTILE


@pytest.mark.parametrize(
    ("name", "person", "message"), [("", "Ada", "needs a name"), ("x", "", "the name of the person")]
)
def test_a_view_without_a_name_or_a_person_is_refused(
    name: str, person: str, message: str, lake_copy: Path, open_page: Open
) -> None:
    app = save(open_page(str(lake_copy), "samples"), name, person)
    assert message in app.error[0].value
    assert view_links(app) == {}


def _narrowed() -> None:
    """A page with so many filters, and a button that adds one."""
    import streamlit as st

    from lake.query.filters import Clause, Filters
    from pages.ui.core import filters

    clauses = [Clause(column="loss", op="between", values=("0", str(end))) for end in range(1, 30)]
    held = st.session_state["held"]
    if "filters" not in st.session_state:
        st.session_state["filters"] = Filters(clauses=tuple(clauses[:held])).to_text()
    st.button("add", on_click=filters.narrow, args=([clauses[0], clauses[held]],))


@pytest.mark.parametrize(("held", "left"), [(1, 2), (MAX_CLAUSES - 1, MAX_CLAUSES), (MAX_CLAUSES, MAX_CLAUSES)])
def test_a_click_adds_filters_until_there_are_as_many_as_an_address_takes(held: int, left: int) -> None:
    app = AppTest.from_function(_narrowed)
    app.session_state["held"] = held
    app.run().button[0].click().run()
    assert len(Filters.from_text(app.session_state["filters"]).clauses) == left
    assert [toast.value for toast in app.toast] == [TOO_MANY] * (held == left)
