"""Every page on a tiny lake through `AppTest`: its sentence, its guards, and what an address may ask of it.

The numbers in a page's sentence are computed here again, from rows, without the queries the pages use.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from deltalake import write_deltalake
from starlette.requests import Request
from streamlit.testing.v1 import AppTest

from lake.contracts import FORMAT_VERSION
from lake.store import Lake
from pages.ui.navigation import ENTRIES
from pages.ui.routes import serve_thumbnail
from tests.tiny_lake import build_tiny_lake

REPOSITORY = Path(__file__).parent.parent
FRAME = REPOSITORY / "pages" / "ui" / "frame.py"  # what `streamlit_app.app` serves
NAMES = [entry.name for entry in ENTRIES]
HELD_OUT = pl.col("out_of_sample") & pl.col("label").is_not_null()
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
]

Open = Callable[..., AppTest]


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Open:
    """`open_page(root, name, **query)` is the app on that page of that lake, run once."""

    def opened(root: str, name: str = NAMES[0], **query: str) -> AppTest:
        monkeypatch.setenv("LATENTLAKE_LAKE", root)
        app = AppTest.from_file(FRAME, default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        return app if name == NAMES[0] else app.switch_page(f"../{name}.py").run()

    return opened


@pytest.fixture(scope="session")
def rows(tiny_lake: str) -> pl.DataFrame:
    """Label, prediction, loss and split of every sample of the tiny lake, joined by hand."""
    run = Lake(tiny_lake).run()
    samples = run.scan("samples").select("sample_id", "split", "label", "groups")
    return run.scan("predictions").join(samples, on="sample_id").sort("sample_id").collect()


@pytest.fixture
def lake_copy(tiny_lake: str, tmp_path: Path) -> Path:
    """A copy of the tiny lake that a test may break."""
    return Path(shutil.copytree(tiny_lake, tmp_path / "copy"))


def answer(app: AppTest) -> str:
    """The one sentence under the title, without its stars."""
    return next(m.value for m in app.main.markdown if m.value.startswith("#####")).replace("**", "")


def shown(app: AppTest) -> str:
    """Everything the app says in words."""
    kinds = (app.title, app.markdown, app.caption, app.error, app.info, app.warning, app.toast, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def tiles(app: AppTest) -> list[dict[str, Any]]:
    """Every tile of every gallery."""
    return [tile for part in app.get("bidi_component") for tile in json.loads(part.proto.json)["items"]]


def percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def test_the_app_also_runs_as_a_plain_script(tiny_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTLAKE_LAKE", tiny_lake)
    app = AppTest.from_file(REPOSITORY / "streamlit_app.py", default_timeout=60).run()
    assert not app.exception
    assert [title.value for title in app.title] == ["Overview"]


# --- each page says its sentence, with numbers that the rows agree to


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_every_page_opens_with_its_title_and_an_answer(entry: Any, tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, entry.name)
    assert not app.exception
    assert not app.error
    assert [title.value for title in app.title] == [entry.title]
    assert answer(app).endswith(".")


def test_overview_says_how_often_the_model_is_right_and_where_it_fails(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    test = rows.filter(pl.col("split") == "test")
    wrong = test.filter(~pl.col("correct"))
    label, n_wrong = wrong["label"].value_counts().sort("count", descending=True).row(0)
    called = wrong.filter(pl.col("label") == label)["predicted"].value_counts().sort("count", descending=True).row(0)
    sentence = answer(open_page(tiny_lake))
    assert f"is right on {percent(test['correct'].mean())} (" in sentence
    assert f"of {len(test)} new images" in sentence
    assert f"fails most on {label}: {n_wrong} of {test.filter(pl.col('label') == label).height} are wrong" in sentence
    assert f"{percent(called[1] / n_wrong)} of those are called {called[0]}" in sentence


def test_overview_shows_headline_numbers(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    test = rows.filter(pl.col("split") == "test")
    values = {metric.label: metric.value for metric in open_page(tiny_lake).metric}
    assert values["Accuracy, test"] == percent(test["correct"].mean())
    assert values["Mean loss (nats)"] == f"{test['loss'].mean():.3g}"
    assert values["Samples scored"] == str(len(rows))


def test_map_says_what_share_of_neighbours_is_of_the_same_kind(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    labelled = rows.filter(pl.col("label").is_not_null())
    vehicle = dict(zip(labelled["sample_id"], labelled["label"].is_in(["ship", "truck"]), strict=True))
    run = Lake(tiny_lake).run()
    close = run.scan("neighbors").filter(pl.col("rank") <= 15).select("sample_id", "neighbor_id").collect()
    same: dict[int, list[bool]] = {}
    for sample, neighbor in close.iter_rows():
        if sample in vehicle and neighbor in vehicle:
            same.setdefault(sample, []).append(vehicle[sample] == vehicle[neighbor])
    shares = [float(np.mean(found)) for found in same.values()]
    sentence = answer(open_page(tiny_lake, "population_map"))
    assert f"on average {percent(float(np.mean(shares)))} of the 15 nearest" in sentence
    assert f"{sum(share < 0.5 for share in shares)} samples have mostly the other kind" in sentence


def test_where_it_fails_names_the_largest_confusion(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    held_out = rows.filter(HELD_OUT)
    wrong = held_out.filter(pl.col("label") != pl.col("predicted"))
    label, predicted, n = wrong.group_by("label", "predicted").len().sort("len", descending=True).row(0)
    of_label = held_out.filter(pl.col("label") == label).height
    app = open_page(tiny_lake, "confusion")
    assert f": {percent(n / of_label)} (" in answer(app)
    assert f"of the {of_label} {label} images are called {predicted}, {n} of all {len(wrong)} errors" in answer(app)
    assert app.subheader[0].value == f"{label.capitalize()} called {predicted}: {n} samples"
    assert len(tiles(app)) == min(n, 32)


def test_groups_names_the_hardest_group(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    clusters = Lake(tiny_lake).run().scan("clusters").filter(pl.col("method") == "kmeans").collect()
    held_out = rows.filter(HELD_OUT).join(clusters, on="sample_id")
    mean = held_out.group_by("cluster").agg(pl.col("loss").mean()).sort("loss", descending=True)
    sentence = answer(open_page(tiny_lake, "clusters"))
    assert sentence.removeprefix("##### ").startswith(f"{clusters['cluster'].n_unique()} groups; ")
    assert f"Hardest: group {mean['cluster'][0]} (" in sentence
    assert f"at {mean['loss'][0] / held_out['loss'].mean():.1f} times the average loss" in sentence


def test_why_sums_the_loss_map_of_the_hardest_sample(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    worst = rows.filter(HELD_OUT).sort("loss", descending=True).row(0, named=True)
    maps = Lake(tiny_lake).run().scan("loss_maps")
    row = maps.filter(pl.col("sample_id") == worst["sample_id"], pl.col("layer") == "layer3").collect()
    grid = np.array(row["values"][0]).reshape(row["height"][0], row["width"][0])
    centre, border = grid[1:-1, 1:-1].sum(), grid.sum() - grid[1:-1, 1:-1].sum()
    app = open_page(tiny_lake, "loss_analysis")
    sentence = answer(app)
    for place, nats in {"border": border, "centre": centre}.items():
        assert f"{place} {'raises' if nats > 0 else 'lowers'} the loss by {abs(nats):.3g} nats" in sentence
    assert f"{len(grid)} x {len(grid)} cells (layer 3)" in app.get("button_group")[0].options


def test_similar_counts_the_labels_of_the_nearest(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    worst = rows.filter(HELD_OUT).sort("loss", descending=True).row(0, named=True)
    close = Lake(tiny_lake).run().scan("neighbors").filter(pl.col("sample_id") == worst["sample_id"]).collect()
    labels = close.join(rows, left_on="neighbor_id", right_on="sample_id").drop_nulls("label")["label"]
    top, n = labels.value_counts(sort=True).row(0)
    app = open_page(tiny_lake, "similar")
    assert f"{n} of the {len(labels)} most similar labelled images are {top} ({percent(n / len(labels))})" in answer(
        app
    )
    assert f"cosine similarity of {close['similarity'].max():.3g}" in answer(app)
    assert [tile["sample_id"] for tile in tiles(app)] == close.sort("rank")["neighbor_id"].to_list()


def test_samples_counts_rows_and_errors(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    held_out = rows.filter(HELD_OUT)
    wrong = held_out.filter(~pl.col("correct")).height
    app = open_page(tiny_lake, "samples")
    assert f"{len(rows)} samples pass the filters" in answer(app)
    assert f"of the {len(held_out)} labelled held-out ones {wrong} are wrong" in answer(app)
    assert f"mean loss of {held_out['loss'].mean():.3g} nats" in answer(app)
    table = app.dataframe[0].value
    worst_first = rows.sort("loss", "sample_id", descending=[True, False], nulls_last=True)
    assert table["sample_id"].to_list() == worst_first["sample_id"].to_list()


def test_runs_lists_every_published_run(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    test = rows.filter(pl.col("split") == "test")
    app = open_page(tiny_lake, "runs")
    assert f"1 published run; the latest is right on {percent(test['correct'].mean())} of the test" in answer(app)
    assert app.dataframe[0].value["run_id"].to_list() == [Lake(tiny_lake).run().run_id]


# --- honesty: in-sample losses are marked, groups are what the classes say


@pytest.mark.parametrize("name", NAMES)
def test_tiles_of_training_samples_are_marked_and_no_others(
    name: str, tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    trained = set(rows.filter(pl.col("split") == "train")["sample_id"])
    for tile in tiles(open_page(tiny_lake, name)):
        assert tile["second"].endswith(", in-sample") == (tile["sample_id"] in trained), tile


def test_a_gallery_with_training_samples_exists_to_be_marked(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    trained = rows.filter(pl.col("split") == "train")["sample_id"].to_list()
    assert {tile["sample_id"] for tile in tiles(open_page(tiny_lake, "similar"))} & set(trained)


def test_the_panel_of_a_training_sample_says_its_loss_is_in_sample(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    trained = rows.filter(pl.col("split") == "train")["sample_id"][0]
    held_out = rows.filter(HELD_OUT)["sample_id"][0]
    assert "(in-sample)" in shown(open_page(tiny_lake, "similar", sample=str(trained)))
    assert "(in-sample)" not in shown(open_page(tiny_lake, "similar", sample=str(held_out)))


def test_the_samples_table_says_of_each_row_whether_it_is_out_of_sample(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    table = open_page(tiny_lake, "samples").dataframe[0].value
    trained = set(rows.filter(pl.col("split") == "train")["sample_id"])
    said = zip(table["sample_id"], table["out_of_sample"], strict=True)
    assert all(out_of_sample == (sample not in trained) for sample, out_of_sample in said)


def test_the_loss_of_an_unlabeled_sample_is_called_expected(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(tiny_lake, "population_map", f="label.null")
    withheld = rows.filter(pl.col("label").is_null())
    assert {tile["sample_id"] for tile in tiles(app)} <= set(withheld["sample_id"])
    assert all(tile["second"].startswith("expected loss ") for tile in tiles(app))


def test_a_ship_is_a_vehicle_on_the_map(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    chart = open_page(tiny_lake, "population_map").get("vega_lite_chart")[0].proto
    spec = json.loads(chart.spec)
    assert spec["layer"][1]["encoding"]["color"]["field"] == "superclass"
    frames = [pl.read_ipc_stream(dataset.data.data) for dataset in chart.datasets]
    points = next(frame for frame in frames if "superclass" in frame.columns)
    assert len(points) == len(rows)
    kinds = set(points.drop_nulls("label").select("label", "superclass").iter_rows())
    assert kinds == {("cat", "animal"), ("dog", "animal"), ("ship", "vehicle"), ("truck", "vehicle")}


# --- filters and addresses


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
    app.switch_page("../population_map.py").run()
    assert app.query_params["f"] == "label.is.cat;correct.is.false"
    app.button(key="remove-0").click().run()
    assert app.query_params["f"] == "correct.is.false"
    wrong = rows.filter(~pl.col("correct")).height
    assert f"**All shown: {wrong} samples**" in shown(app)


def test_the_form_adds_a_filter(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    app = open_page(tiny_lake, "samples")
    app.selectbox(key="filter-column").set_value("label").run()
    app.multiselect(key="filter-values-label").set_value(["ship", "truck"]).run()
    next(button for button in app.button if button.label == "Add").click().run()
    assert app.query_params["f"] == "label.is.ship,truck"
    vehicles = rows.filter(pl.col("label").is_in(["ship", "truck"])).height
    assert f"{vehicles} samples pass the filters" in answer(app)


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
    assert not app.exception
    assert "filter was ignored" in app.toast[0].value
    assert [title.value for title in app.title] == ["Overview"]
    assert any(f"{len(rows)} of {len(rows)} samples" in m.value for m in app.sidebar.markdown)
    assert "f" not in app.query_params


@pytest.mark.parametrize("name", NAMES)
def test_filters_that_nothing_passes_leave_every_page_standing(name: str, tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, name, f="loss.between.900,901")
    assert not app.exception
    assert len(app.title) == 1


@pytest.mark.parametrize("sample", ["-1", "999999", "x", "１２", "1e9", "9" * 40, "<b>"])
@pytest.mark.parametrize("name", ["similar", "loss_analysis"])
def test_a_sample_number_nobody_has_is_answered_in_words(
    name: str, sample: str, tiny_lake: str, open_page: Open
) -> None:
    app = open_page(tiny_lake, name, sample=sample)
    assert not app.exception
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


# --- lakes that cannot be read


def test_an_empty_lake_shows_the_command_that_fills_it(empty_lake: str, open_page: Open) -> None:
    app = open_page(empty_lake)
    assert not app.exception
    assert [code.value for code in app.code] == ["latentlake refresh --preset quick"]
    assert empty_lake in shown(app)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("overview", "runs"),
        ("overview", "predictions"),
        ("overview", "findings"),
        ("population_map", "neighbors"),
        ("population_map", "projection"),
        ("confusion", "samples"),
        ("clusters", "cluster_summaries"),
        ("loss_analysis", "loss_maps"),
        ("similar", "neighbors"),
        ("runs", "training"),
        ("runs", "metrics"),
    ],
)
def test_a_file_cut_short_is_reported_in_a_sentence(name: str, table: str, lake_copy: Path, open_page: Open) -> None:
    for file in (lake_copy / table).rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:40])
    _expect_a_sentence(open_page(str(lake_copy), name), f"The lake {lake_copy} cannot be read")


@pytest.mark.parametrize("table", ["runs", "predictions"])
def test_a_broken_log_is_reported_in_a_sentence(table: str, lake_copy: Path, open_page: Open) -> None:
    for log in (lake_copy / table / "_delta_log").glob("*.json"):
        log.write_text("{not json")
    _expect_a_sentence(open_page(str(lake_copy)), f"The lake {lake_copy} cannot be read")


def test_a_missing_table_is_reported_in_a_sentence(lake_copy: Path, open_page: Open) -> None:
    shutil.rmtree(lake_copy / "projection")
    _expect_a_sentence(open_page(str(lake_copy)), f"The lake {lake_copy} cannot be read")


def test_a_lake_of_a_newer_format_says_which_and_what_to_do(lake_copy: Path, open_page: Open) -> None:
    newer = pl.read_delta(str(lake_copy / "runs")).with_columns(format_version=pl.lit(FORMAT_VERSION + 1))
    write_deltalake(str(lake_copy / "runs"), newer, mode="overwrite")
    _expect_a_sentence(open_page(str(lake_copy)), f"has runs of format {FORMAT_VERSION + 1}")


def test_thumbnails_of_a_damaged_lake_are_refused_without_an_exception(
    lake_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in (lake_copy / "images").rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:40])
    monkeypatch.setenv("LATENTLAKE_LAKE", str(lake_copy))
    asked = Request({"type": "http", "path_params": {"dataset_id": "tiny-240-0", "sample_id": 0}})
    assert serve_thumbnail(asked).status_code == 503


def _expect_a_sentence(app: AppTest, text: str) -> None:
    assert not app.exception, app.exception
    assert any(text in error.value for error in app.error), shown(app)
    assert "Traceback" not in shown(app)


def test_a_new_run_is_offered_and_not_forced_on_the_reader(lake_copy: Path, open_page: Open) -> None:
    old = Lake(lake_copy).run()
    build_tiny_lake(str(lake_copy), run_id="20260102-000000-bbbbbb", samples=80)
    app = open_page(str(lake_copy), "samples", run=old.run_id)
    assert "A newer run is published" in shown(app)
    assert "240 samples" in answer(app)
    app.selectbox(key="run_picker").set_value("20260102-000000-bbbbbb").run()
    assert app.query_params["run"] == "20260102-000000-bbbbbb"
    assert "80 samples" in answer(app)
