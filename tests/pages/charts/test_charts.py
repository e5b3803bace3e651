"""Charts as dictionaries: what is on which channel, in which colour, on which scale."""

import re
from typing import Any

import polars as pl
import pytest

from lake.query.filters import Filters
from pages.charts import charts
from pages.charts.palette import BAD, COOL, LOWERS, RAISES, WARM, class_colors
from pages.charts.projection_layers import lay_out
from pages.charts.projection_state import MapState
from pages.charts.scales import color_scale, size_domain
from pages.ui.table import table_charts

CLASSES = ["cat", "dog", "ship", "truck"]
GROUPS = {"superclass": {"cat": "animal", "dog": "animal", "ship": "vehicle", "truck": "vehicle"}}
SAMPLES = pl.DataFrame(
    {
        "sample_id": [1, 2, 3],
        "x": [0.0, 1.0, 2.0],
        "y": [0.0, 1.0, 2.0],
        "label": ["ship", "cat", None],
        "predicted": ["ship", "dog", "cat"],
        "superclass": ["vehicle", "animal", None],
        "correct": [True, False, None],
        "loss": [0.1, 3.0, None],
        "expected_loss": [0.1, 0.5, 0.4],
        "contrast": [10.0, 20.0, 30.0],
    }
)
DOTS = 4
"""The number of the layer of dots on the map."""


def population(color: str = "label", size: str = "loss", **options: Any) -> dict[str, Any]:
    state = MapState(color=color, size=size, **options)
    near = pl.DataFrame({"neighbor_id": [2]})
    layers = lay_out(SAMPLES, Filters(), state, neighbors=near, folder="/t/", picture_url="/p.png")
    scale = color_scale(SAMPLES[color], CLASSES, GROUPS)
    chart = charts.population_map(layers, scale, sizes=size_domain(SAMPLES[size]), folder="/t/", start=state)
    return dict(chart.to_dict())


def encoding(layer: dict[str, Any], channel: str) -> dict[str, Any]:
    return dict(layer["encoding"][channel])


def test_the_map_draws_a_larger_dot_for_a_higher_value() -> None:
    dots = population()["layer"][DOTS]
    assert encoding(dots, "size")["field"] == "size"
    smallest, largest = encoding(dots, "size")["scale"]["range"]
    assert 0 < smallest < largest
    assert {channel: encoding(dots, channel)["field"] for channel in "xy"} == {"x": "at_x", "y": "at_y"}


def test_the_size_of_a_loss_is_the_same_in_every_run_and_that_of_a_property_spans_its_values() -> None:
    assert encoding(population()["layer"][DOTS], "size")["scale"]["domain"] == [0.0, 8.0]
    dots = population(size="contrast")["layer"][DOTS]
    assert encoding(dots, "size")["scale"]["domain"] == [10.0, 30.0]
    assert "Contrast" in [row["title"] for row in dots["encoding"]["tooltip"]]


def test_the_map_can_be_picked_boxed_zoomed_and_isolated_without_drawing_its_marks_anew() -> None:
    chart = population()
    params = {param["name"]: param["select"] | {"bind": param.get("bind")} for param in chart["params"]}
    assert set(params) == {"pick", "box", "zoom", "only"}
    assert (params["pick"]["type"], params["pick"]["fields"]) == ("point", ["sample_id"])
    assert (params["box"]["type"], params["box"]["encodings"]) == ("interval", ["x", "y"])
    assert params["zoom"]["bind"] == "scales"
    assert params["only"]["bind"] == "legend"
    assert not any("condition" in channel for layer in chart["layer"] for channel in layer["encoding"].values())


def test_numbers_have_no_legend_to_isolate_by() -> None:
    assert {param["name"] for param in population("loss")["params"]} == {"pick", "box", "zoom"}


def as_dict(scale: Any) -> dict[str, Any]:
    written: dict[str, Any] = scale.to_altair().to_dict()
    return written


def test_a_scale_of_years_is_continuous_and_its_legend_has_no_decimals() -> None:
    scale = color_scale(pl.Series("year", [1999, 2005, None, 2020]), [], {}, measure=True)
    assert (scale.kind, scale.whole) == ("linear", True)
    legend = as_dict(scale)["legend"]
    assert (legend["format"], legend["tickMinStep"]) == ("d", 1)
    assert "format" not in as_dict(color_scale(pl.Series("iso", [1.5, 2.0]), [], {}))["legend"]
    assert color_scale(pl.Series("cluster_kmeans", [1, 2, 3]), [], {}).kind == "nominal"


def test_the_map_begins_with_the_view_and_the_box_of_its_address() -> None:
    chart = population(view=(0.0, 1.0, 2.0, 3.0), box=(0.1, 0.2, 2.1, 2.2))
    values = {param["name"]: param.get("value") for param in chart["params"]}
    assert values["zoom"] == {"x": [0, 1], "y": [2, 3]}
    assert values["box"] == {"x": [0.1, 0.2], "y": [2.1, 2.2]}


def test_the_map_shows_image_label_and_loss_on_hover() -> None:
    dots = population("contrast")["layer"][DOTS]
    shown = [tooltip["field"] for tooltip in dots["encoding"]["tooltip"]]
    assert shown == ["image", "sample_id", "label", "predicted", "loss", "contrast"]
    (image,) = dots["transform"]
    assert image == {"calculate": "\"/t/\" + datum.sample_id + '.png'", "as": "image"}


def test_dots_give_way_to_images_but_can_still_be_picked() -> None:
    opacity = [population(show=show)["layer"][DOTS]["mark"]["opacity"] for show in ("dots", "images")]
    assert opacity[0] > 0.5
    assert 0 < opacity[1] < 0.05


def test_the_legend_of_long_names_has_as_many_columns_as_fit() -> None:
    channels: list[Any] = [
        color_scale(pl.Series("label", ["cat", name]), [], {}).to_altair() for name in ("dog", "d" * 17)
    ]
    short, long = (channel.to_dict() for channel in channels)
    assert short["legend"]["columns"] == 2
    assert "width" in long["legend"]["columns"]["expr"]
    assert long["scale"]["domain"] == ["cat", "d" * 17]


def test_a_class_has_its_colour_in_the_legend() -> None:
    colors = class_colors(CLASSES, GROUPS)
    scale = encoding(population()["layer"][DOTS], "color")["scale"]
    assert scale["range"] == [colors[value] for value in scale["domain"]]
    assert colors["cat"] in WARM
    assert colors["ship"] in COOL
    assert len(set(colors.values())) == len(CLASSES)


def test_loss_is_coloured_on_a_log_scale_in_nats() -> None:
    color = encoding(population("loss")["layer"][DOTS], "color")
    assert color["scale"]["type"] == "log"
    assert color["scale"]["domain"][0] > 0
    assert "nats" in color["legend"]["title"]


def test_the_matrix_puts_label_on_rows_and_prediction_on_columns_in_class_order() -> None:
    counts = pl.DataFrame(
        {
            "label": ["cat", "cat", "dog"],
            "predicted": ["cat", "dog", "dog"],
            "n": [6, 4, 9],
            "share": [0.6, 0.4, 1.0],
            "mean_loss": [0.1, 2.0, 0.1],
        }
    )
    chart = charts.confusion_matrix(counts, CLASSES, value="n").to_dict()
    tiles, text = chart["layer"]
    assert encoding(tiles, "y")["field"] == "label"
    assert encoding(tiles, "x")["field"] == "predicted"
    assert encoding(tiles, "y")["sort"] == encoding(tiles, "x")["sort"] == CLASSES
    assert encoding(tiles, "color")["scale"]["domain"] == [0, 0.4], "the scale ends at the largest error"
    assert encoding(text, "text")["field"] == "n"
    cell = next(param for param in chart["params"] if param["name"] == "cell")
    assert cell["select"]["fields"] == ["label", "predicted"]


@pytest.mark.parametrize("tile", [charts.CORRECT, charts.FEW, charts.MANY])
def test_black_numbers_are_readable_on_every_tile_of_the_matrix(tile: str) -> None:
    assert re.fullmatch("#[0-9a-f]{6}", tile), "a translucent tile is dark in dark mode"
    linear = [(int(tile[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)]
    luminance = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    assert (luminance + 0.05) / 0.05 >= 4.5  # contrast as in WCAG 2.2, 1.4.3


def test_a_signed_map_is_symmetric_with_red_above_zero_and_fills_the_square() -> None:
    cells = pl.DataFrame({"row": [0, 0, 1, 1], "column": [0, 1, 0, 1], "value": [0.5, -0.1, 0.0, 0.2]})
    chart = charts.signed_map(cells, limit=0.5, url="/thumbnails/d/1.png", opacity=0.3).to_dict()
    image, overlay = chart["layer"]
    assert image["mark"]["type"] == "image"
    assert overlay["mark"]["opacity"] == 0.3
    scale = encoding(overlay, "color")["scale"]
    assert scale["domain"] == [-0.5, 0, 0.5]
    assert (scale["range"][0], scale["range"][2]) == (LOWERS, RAISES)
    for layer in (image, overlay):
        assert encoding(layer, "x")["scale"]["domain"] == [0, 1]
    assert encoding(overlay, "y")["scale"]["domain"] == [1, 0], "row 0 is at the top"
    drawn = chart["datasets"][overlay["data"]["name"]]
    edges = [(cell["left"], cell["right"], cell["top"], cell["bottom"]) for cell in drawn]
    assert edges[0] == (0, 0.5, 0, 0.5)
    assert edges[-1] == (0.5, 1, 0.5, 1)


def test_a_pooled_map_has_no_image_beneath_and_is_opaque() -> None:
    cells = pl.DataFrame({"row": [0], "column": [0], "value": [1.0]})
    (overlay,) = charts.signed_map(cells, limit=1).to_dict()["layer"]
    assert overlay["mark"]["opacity"] == 1


def test_the_given_label_is_the_one_bar_that_stands_out() -> None:
    frame = pl.DataFrame({"label": ["dog", "cat"], "probability": [0.7, 0.3]})
    chart = charts.probability_bars(frame, "cat").to_dict()
    assert encoding(chart, "x")["scale"]["domain"] == [0, 1]
    scale = encoding(chart, "color")["scale"]
    assert scale["range"][scale["domain"].index(True)] == BAD
    (drawn,) = chart["datasets"].values()
    assert [bar["given"] for bar in drawn] == [False, True]


def test_where_no_label_is_given_no_bar_stands_out() -> None:
    chart = charts.probability_bars(pl.DataFrame({"label": ["dog"], "probability": [1.0]}), None).to_dict()
    (drawn,) = chart["datasets"].values()
    assert [bar["given"] for bar in drawn] == [False]


def test_reliability_compares_on_equal_axes_from_zero_to_one() -> None:
    frame = pl.DataFrame({"confidence": [0.9], "accuracy": [0.8], "low": [0.7], "high": [0.9], "n": [10]})
    _, intervals, dots = charts.reliability(frame).to_dict()["layer"]
    assert encoding(intervals, "x")["scale"]["domain"] == encoding(intervals, "y")["scale"]["domain"] == [0, 1]
    assert (encoding(intervals, "y")["field"], encoding(intervals, "y2")["field"]) == ("low", "high")
    assert encoding(dots, "y")["field"] == "accuracy"


def test_lines_and_bars_have_titles_for_people() -> None:
    line = charts.lines(
        pl.DataFrame({"epoch": [1.0], "loss": [2.0]}), x="epoch:Q", y="loss:Q", x_title="Epoch", y_title="Loss (nats)"
    ).to_dict()
    assert (encoding(line, "x")["title"], encoding(line, "y")["title"]) == ("Epoch", "Loss (nats)")
    frame = pl.DataFrame({"label": ["dog", "ship"], "n": [3, 5]})
    bars = charts.bars(frame, x="n", y="label", x_title="Samples", colors=(CLASSES, GROUPS)).to_dict()
    assert encoding(bars, "x")["title"] == "Samples"
    assert encoding(bars, "y")["sort"] == "-x"
    colors = class_colors(CLASSES, GROUPS)
    assert encoding(bars, "color")["scale"]["range"] == [colors["dog"], colors["ship"]]


def test_of_many_bars_the_longest_are_drawn() -> None:
    frame = pl.DataFrame({"n": range(charts.MOST_ROWS + 5)}).select(pl.format("class {}", "n").alias("label"), "n")
    drawn = charts.bars(frame, x="n", y="label", x_title="Samples").data
    assert sorted(drawn["n"]) == list(range(5, charts.MOST_ROWS + 5))


def test_a_difference_is_red_where_it_is_worse_on_and_off_the_diagonal() -> None:
    cells = pl.DataFrame(
        {
            "label": ["cat", "cat"],
            "predicted": ["cat", "dog"],
            "n": [9, 1],
            "share": [0.9, 0.1],
            "mean_loss": [0.1, 2.0],
        }
    ).with_columns(difference=pl.Series([0.1, 0.1]))
    chart = charts.confusion_matrix(cells, CLASSES, value="difference").to_dict()
    color = encoding(chart["layer"][0], "color")
    assert color["field"] == "worse"
    assert color["scale"]["domain"] == [-0.1, 0, 0.1]
    assert [row["worse"] for row in next(iter(chart["datasets"].values()))] == [-0.1, 0.1]


def test_a_change_has_its_interval_and_is_orange_where_the_loss_rose() -> None:
    rows = pl.DataFrame(
        {"value": ["cat", "dog"], "n": [9, 8], "change": [-0.4, 0.1], "low": [-0.5, 0.0], "high": [-0.3, 0.2]}
    )
    zero, ends, dots = charts.changes(rows, title="Class").to_dict()["layer"]
    assert encoding(zero, "x")["field"] == "nats"
    assert (encoding(ends, "x")["field"], encoding(ends, "x2")["field"]) == ("low", "high")
    assert encoding(dots, "x")["field"] == "change"
    assert encoding(dots, "color")["condition"]["value"] == BAD
    assert encoding(dots, "y")["sort"] == ["cat", "dog"]


def test_a_moved_class_is_drawn_from_where_it_was_to_where_it_is() -> None:
    centres = pl.DataFrame(
        {"label": ["cat"], "n": [9], "moved": [0.2], "x": [1.0], "y": [2.0], "x_before": [0.0], "y_before": [0.5]}
    )
    layers = charts.class_moves(centres, SAMPLES.select("x", "y"), (CLASSES, GROUPS)).to_dict()["layer"]
    _, way, ring, dot, name = layers
    assert [encoding(way, channel)["field"] for channel in ("x", "y", "x2", "y2")] == ["x_before", "y_before", "x", "y"]
    assert (encoding(ring, "x")["field"], encoding(dot, "x")["field"]) == ("x_before", "x")
    assert encoding(name, "text")["field"] == "label"
    assert encoding(dot, "color")["scale"]["range"] == [class_colors(CLASSES, GROUPS)["cat"]]


def test_of_many_classes_the_ones_that_moved_farthest_are_drawn_in_distinct_colours() -> None:
    classes = [f"class {i:04}" for i in range(1000)]
    moved = [1 - i / 1000 for i in range(1000)]
    place = dict.fromkeys(("x", "y", "x_before", "y_before"), moved)
    centres = pl.DataFrame({"label": classes, "n": [9] * 1000, "moved": moved, **place})
    groups = {"superclass": {name: f"kind {i // 50}" for i, name in enumerate(classes)}}
    dot = charts.class_moves(centres, SAMPLES.select("x", "y"), (classes, groups)).to_dict()["layer"][3]
    scale = encoding(dot, "color")["scale"]
    assert scale["domain"] == classes[: charts.MOST_CENTRES]
    assert len(set(scale["range"])) == charts.MOST_CENTRES


@pytest.mark.parametrize(("few", "domain"), [((False, False, True), [0.2, 0.9]), ((True, True, True), [0.0, 1.0])])
def test_the_colours_of_mean_losses_span_the_cells_with_enough_samples(
    few: tuple[bool, ...], domain: list[float]
) -> None:
    losses = {"mean_loss": [0.2, 0.9, 7.0], "interval": "", "n": 1, "few": few, "cell": [0, 1, 2]}
    places = {"down": list("abc"), "across": "d", "down_place": [0, 1, 2], "across_place": 0}
    spec = table_charts.pivot_cells(pl.DataFrame(losses | places), down="Label", across="Split").to_dict()
    color = spec["layer"][0]["encoding"]["color"]
    assert color["scale"]["domain"] == domain
    assert color["condition"]["test"] == "datum.few"
