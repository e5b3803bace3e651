"""Every page on lakes of a thousand classes and of two: nothing grows with them, any name stands as it is."""

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from lake.query.filters import MAX_VALUES, MAX_VALUES_DESCRIBED, Filters
from lake.query.joined_samples import scan_samples
from lake.query.pivots import FEW
from lake.storage.store import Lake
from pages.charts.palette import DISTINCT
from pages.charts.projection_state import MapState
from pages.report.document import render_report
from pages.text.formatting import ISOLATE, ISOLATED, NO_BREAK, WORD_JOINER
from pages.text.headline import say_headline
from pages.ui.groups.confusion_list import IN_THE_LIST, IN_THE_MATRIX
from pages.ui.session.navigation import ENTRIES
from pages.ui.table.pivot import MAX_POSITIONS
from tests.support.data.classes import ODD
from tests.support.lakes.many_classes import MANY, build_two_runs
from tests.support.lakes.synthetic import build_synthetic_lake
from tests.support.servers.apps import HELD_OUT, NAMES, Open, answer, failures, galleries, percent, shown, tiles

TWO = 2
PARTS = ["Samples", "Losses", "Map", "Groups", "Findings", "Drift", "Cost"]
NOT_A_NUMBER = re.compile(r"\b(nan|inf|None)\b")
UNSEEN = re.compile(rf"\\(?=[^\w\s]|_)|[{WORD_JOINER}{ISOLATE}{ISOLATED}]")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Root of a lake of a thousand classes, most of few samples."""
    root = str(tmp_path_factory.mktemp("many") / "lake")
    build_synthetic_lake(root, 4000, classes=MANY, features=16)
    return root


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Root of a lake of two classes, one of them under an odd name."""
    root = str(tmp_path_factory.mktemp("two") / "lake")
    build_synthetic_lake(root, 1000, classes=TWO, features=16)
    return root


@pytest.fixture(scope="module")
def known(many: str) -> pl.DataFrame:
    """Label, prediction, loss and split of every sample of a thousand classes, joined by hand."""
    run = Lake(many).run()
    samples = run.scan("samples").select("sample_id", "split", "label")
    return run.scan("predictions").join(samples, on="sample_id").sort("sample_id").collect()


def said(app: AppTest) -> str:
    """Everything the app says, as it is seen."""
    return UNSEEN.sub("", shown(app).replace("**", "")).replace(NO_BREAK, " ")


def chart(app: AppTest, number: int = 0) -> dict[str, Any]:
    return dict(json.loads(app.get("vega_lite_chart")[number].proto.spec))


def points(app: AppTest, column: str) -> pl.DataFrame:
    """The first data with that column of the first chart."""
    return next(frame for frame in _frames(app.get("vega_lite_chart")[0]) if column in frame.columns)


def _frames(element: Any) -> list[pl.DataFrame]:
    return [pl.read_ipc_stream(dataset.data.data) for dataset in element.proto.datasets]


# --- a thousand classes


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_every_page_reads_a_thousand_classes(name: str, many: str, open_page: Open) -> None:
    app = open_page(many, name)
    assert not failures(app)
    assert [title.value for title in app.title] == [e.title for e in ENTRIES if e.name == name]
    assert answer(app).endswith(".")
    assert not NOT_A_NUMBER.search(said(app))


def test_the_list_of_confusions_is_what_the_rows_say(many: str, known: pl.DataFrame, open_page: Open) -> None:
    held_out = known.filter(HELD_OUT)
    wrong = held_out.filter(pl.col("label") != pl.col("predicted"))
    cells = wrong.group_by("label", "predicted").agg(n=pl.len(), mean_loss=pl.col("loss").mean())
    expected = cells.sort("n", "label", "predicted", descending=[True, False, False]).head(IN_THE_LIST)
    table = pl.from_pandas(open_page(many, "confusion").dataframe[0].value)
    assert table.select("label", "predicted", "n").rows() == expected.select("label", "predicted", "n").rows()
    assert table["mean_loss"].to_list() == pytest.approx(expected["mean_loss"].to_list())
    label, _, n = expected.row(0)[:3]
    total = held_out.filter(pl.col("label") == label).height
    assert table["share"][0].startswith(f"{percent(n / total)} of {total:,} (")


@pytest.mark.long
def test_a_confusion_links_to_its_images(many: str, known: pl.DataFrame, open_page: Open) -> None:
    table = pl.from_pandas(open_page(many, "confusion", f="split.is.test").dataframe[0].value)
    for label, predicted, n, link in table.select("label", "predicted", "n", "images").head(20).iter_rows():
        address = urlsplit(link)
        assert address.path == "./samples"
        found = Filters.from_text(parse_qs(address.query)["f"][0]).apply(known.lazy()).collect()
        assert len(found) == n == found.filter(split="test", label=label, predicted=predicted).height


def test_the_matrix_is_of_a_class_and_those_near_to_it(many: str, known: pl.DataFrame, open_page: Open) -> None:
    app = open_page(many, "confusion")
    picker = app.selectbox(key="matrix-class")
    assert set(picker.options) == set(known.filter(HELD_OUT)["label"])
    wrong = known.filter(HELD_OUT, pl.col("label") != pl.col("predicted"))
    other = wrong["label"].value_counts(sort=True)["label"][1]
    picker.set_value(other).run()
    assert not failures(app)
    cells = points(app, "predicted")
    assert 2 <= cells["label"].n_unique() <= IN_THE_MATRIX
    of_class = known.filter(HELD_OUT, label=other)
    drawn = cells.filter(label=other)
    assert drawn["n"].sum() == of_class.filter(pl.col("predicted").is_in(cells["label"].unique().implode())).height
    assert set(wrong.filter(label=other)["predicted"]) <= set(cells["predicted"])
    n = wrong.filter(label=other).group_by("predicted").len().sort("len", "predicted", descending=[True, False])
    title = f"{other[:1].upper()}{other[1:]} called {n['predicted'][0]}: {n['len'][0]} sample"
    assert UNSEEN.sub("", app.subheader[0].value).replace(NO_BREAK, " ").startswith(title)
    assert tiles(app)[0]["first"] == f"{other} called {n['predicted'][0]}"


@pytest.mark.long
@pytest.mark.parametrize("color", ["label", "predicted", "cluster_kmeans"])
def test_a_legend_holds_the_most_frequent_values_in_distinct_colours(color: str, many: str, open_page: Open) -> None:
    app = open_page(many, "population_map", color=color)
    (scale,) = (part["encoding"]["color"]["scale"] for part in chart(app)["layer"] if "color" in part["encoding"])
    assert len(scale["domain"]) == len(set(scale["range"])) == len(DISTINCT) + 1
    values = scan_samples(Lake(many).run()).select(pl.col(color).drop_nulls().cast(pl.String)).collect()[color]
    counted = values.value_counts(name="n").sort("n", descending=True)
    assert scale["domain"][-1] == f"{len(counted) - len(DISTINCT):,} others"
    n = dict(counted.iter_rows())
    assert [n[value] for value in scale["domain"][:-1]] == counted["n"].head(len(DISTINCT)).to_list()
    drawn = points(app, "shown_as").drop_nulls("shown_as")
    assert set(drawn["shown_as"]) == set(scale["domain"])


def test_the_address_says_which_values_have_a_colour(many: str, open_page: Open) -> None:
    picked = (ODD[6], ODD[7])
    query = MapState(color="label", colored=picked).to_query()
    app = open_page(many, "population_map", **query)
    (scale,) = (part["encoding"]["color"]["scale"] for part in chart(app)["layer"] if "color" in part["encoding"])
    assert scale["domain"][:-1] == [*picked]
    assert app.multiselect[0].value == [*picked]
    assert app.query_params["colored"] == query["colored"]
    left_out = open_page(many, "population_map", color="label", colored="no such class")
    assert not failures(left_out) and left_out.multiselect[0].value == []


@pytest.mark.long
def test_a_sample_shows_its_ten_most_probable_classes_and_its_label(
    many: str, known: pl.DataFrame, open_page: Open
) -> None:
    worst = known.filter(HELD_OUT).sort("loss", descending=True).row(0, named=True)
    app = open_page(many, "similar", sample=str(worst["sample_id"]))
    bars = points(app, "probability")
    assert len(bars) in (10, 11)
    assert bars.filter("given")["label"].to_list() == [worst["label"]]
    assert bars["probability"].max() == pytest.approx(worst["confidence"])


@pytest.mark.long
@pytest.mark.parametrize("name", ODD)
def test_a_filter_on_any_name_goes_round_through_the_address(
    name: str, many: str, known: pl.DataFrame, open_page: Open
) -> None:
    text = Filters.of(label=name).to_text()
    app = open_page(many, "samples", f=text)
    n = known.filter(pl.col("label") == name).height
    assert n > 0
    assert f"## {n} samples pass the filters" in said(app)
    assert app.query_params["f"] == text
    assert set(app.dataframe[0].value["label"]) == {name}
    assert UNSEEN.sub("", app.sidebar.toggle[0].label).replace(NO_BREAK, " ") == f"label: {name}"


@pytest.mark.long
@pytest.mark.parametrize("name", ODD)
def test_a_name_stands_in_the_sentence_as_it_is(name: str, many: str, known: pl.DataFrame, open_page: Open) -> None:
    wrong = known.filter(HELD_OUT, label=name).filter(pl.col("predicted") != name)
    app = open_page(many, "confusion", f=Filters.of(label=name).to_text())
    assert not failures(app)
    expected = f"{name} image" if len(wrong) else "No held-out sample that passes the filters is misclassified"
    assert expected in said(app)


@pytest.mark.long
def test_the_loss_by_class_is_drawn_of_the_largest_and_listed_of_all(
    many: str, known: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(many, "samples", pivot="label,split")
    held_out = known.filter(HELD_OUT)
    drawn = next(p for c in app.get("vega_lite_chart") for p in _frames(c) if "down_place" in p.columns)
    assert drawn["down"].n_unique() == MAX_POSITIONS
    largest = held_out["label"].value_counts(name="n").sort("n", "label", descending=[True, False])["label"]
    assert set(drawn["down"]) == set(largest.head(MAX_POSITIONS))
    assert len(app.dataframe[-1].value) == held_out.group_by("label", "split").len().height


def test_a_filter_offers_every_class(many: str, known: pl.DataFrame, open_page: Open) -> None:
    app = open_page(many, "samples")
    app.selectbox(key="filter-column").set_value("label").run()
    assert set(app.multiselect(key="filter-values-label").options) == set(known["label"].drop_nulls())


@pytest.mark.long
def test_a_filter_takes_no_more_values_than_an_address_holds(many: str, open_page: Open) -> None:
    app = open_page(many, "samples")
    app.selectbox(key="filter-column").set_value("label").run()
    values = app.multiselect(key="filter-values-label")
    assert values.proto.max_selections == MAX_VALUES < len(values.options)
    values.set_value(values.options[:MAX_VALUES]).run()
    next(button for button in app.button if button.label == "Add").click().run()
    assert not failures(app)
    chip = app.sidebar.toggle[0].label
    assert chip.endswith(f" or {MAX_VALUES - MAX_VALUES_DESCRIBED} others") and len(chip) < 200


def test_groups_are_those_of_the_samples_that_pass_the_filters(many: str, open_page: Open) -> None:
    samples = scan_samples(Lake(many).run()).filter(label=ODD[2]).collect()
    passing = set(samples["cluster_kmeans"].drop_nulls())
    app = open_page(many, "clusters", f=Filters.of(label=ODD[2]).to_text())
    assert set(app.dataframe[0].value["cluster"]) == passing
    assert f"{len(passing)} of " in said(app) and " groups have samples that pass the filters." in said(app)
    assert {tile["first"].split(" called ")[0] for tile in galleries(app)[0]} == {ODD[2]}
    none = open_page(many, "clusters", f="cluster_kmeans.null")
    assert not failures(none)
    assert "No sample that passes the filters is in a group" in said(none)


@pytest.mark.long
def test_the_only_held_out_sample_of_a_class_is_one_image(many: str, known: pl.DataFrame, open_page: Open) -> None:
    alone = known.filter(HELD_OUT).filter(pl.len().over("label") == 1, ~pl.col("correct")).row(0, named=True)
    app = open_page(many, "confusion", f=Filters.of(label=alone["label"]).to_text())
    sentence = f"of the 1 {alone['label']} image is called {alone['predicted']}, the only error."
    assert sentence in said(app)
    assert not NOT_A_NUMBER.search(said(app))


@pytest.mark.long
@pytest.mark.parametrize("number", [-2, -3])
def test_a_class_without_held_out_or_labelled_samples_breaks_nothing(number: int, many: str, open_page: Open) -> None:
    run = Lake(many).run()
    for page in ("population_map", "clusters"):
        app = open_page(many, page, f=f"predicted.is.{run.classes[number].replace(' ', '%20')}")
        assert not failures(app)
        assert not NOT_A_NUMBER.search(said(app))


@pytest.mark.long
def test_the_report_lists_the_worst_and_stays_small(many: str) -> None:
    run = Lake(many).run()
    html = render_report(run, None)
    assert len(html) < 2_000_000
    assert "The most frequent confusions" in html and "the worst first, 50 of" in html
    assert "<b>bold" not in html


@pytest.mark.long
def test_the_class_it_fails_on_has_enough_samples_to_be_read(many: str, known: pl.DataFrame, open_page: Open) -> None:
    test = known.filter(split="test").drop_nulls("label")
    read = test.group_by("label").agg(n=pl.len(), right=pl.col("correct").mean()).filter(pl.col("n") >= FEW)
    assert len(read) < test["label"].n_unique()
    worst = read.sort("right", "label")["label"][0] if len(read) else None
    expected = f"Of the classes with {FEW} or more of them it fails most on {worst}: " if worst else "It fails most on "
    assert expected in said(open_page(many))


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        ([True, True], "of 2 new images: none is wrong."),
        ([False], "of 1 new image. It fails most on **a**: 1 of 1 is wrong, and called **b**."),
        ([False, False, True], "of 3 new images. It fails most on **a**: 2 of 3 are wrong, and 100.0 % of those are"),
    ],
)
def test_the_headline_is_true_of_one_sample(right: list[bool], expected: str) -> None:
    samples = pl.LazyFrame({"correct": right}).with_columns(
        split=pl.lit("test"),
        label=pl.lit("a"),
        predicted=pl.when("correct").then(pl.lit("a")).otherwise(pl.lit("b")),
        loss=pl.lit(1.0),
    )
    assert expected in str(say_headline(samples)).replace(NO_BREAK, " ")


# --- two runs of a thousand classes


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Root of a lake with two runs of the same samples, the later of which is wrong more often."""
    root = str(tmp_path_factory.mktemp("twice") / "lake")
    build_two_runs(root)
    return root


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
def test_every_comparison_of_a_thousand_classes_is_shown(part: str, twice: str, open_page: Open) -> None:
    app = open_page(twice, "compare", part=part)
    assert not failures(app)
    assert answer(app).startswith("## Worse: ")
    assert not NOT_A_NUMBER.search(said(app))
    by_class = [f for element in app.get("vega_lite_chart") for f in _frames(element) if "label" in f.columns]
    assert bool(by_class) == (part in ("Samples", "Map"))
    assert all(len(frame) <= IN_THE_MATRIX**2 for frame in by_class)


@pytest.mark.long
def test_the_matrix_of_changes_is_of_the_classes_that_changed_most(twice: str, open_page: Open) -> None:
    app = open_page(twice, "confusion")
    app.button_group[0].set_value("difference").run()
    assert not failures(app)
    assert f"The {IN_THE_MATRIX} classes whose confusions changed most." in said(open_page(twice, "compare"))


# --- two classes


@pytest.mark.parametrize("name", NAMES)
def test_every_page_reads_two_classes(name: str, two: str, open_page: Open) -> None:
    app = open_page(two, name)
    assert not failures(app)
    assert answer(app).endswith(".")
    assert not NOT_A_NUMBER.search(said(app))


def test_the_matrix_of_two_classes_is_whole(two: str, open_page: Open) -> None:
    app = open_page(two, "confusion")
    assert not [box for box in app.selectbox if box.key == "matrix-class"]
    assert set(points(app, "predicted")["label"]) == set(Lake(two).run().classes)
    assert app.subheader[0].value
