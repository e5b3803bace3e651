"""Charts as dictionaries: what is on which channel, in which colour, on which scale."""

import re
from typing import Any

import polars as pl
import pytest

from pages.ui import charts
from pages.ui.palette import BAD, COOL, LOWERS, RAISES, WARM, class_colors

CLASSES = ["cat", "dog", "ship", "truck"]
GROUPS = {"superclass": {"cat": "animal", "dog": "animal", "ship": "vehicle", "truck": "vehicle"}}
POINTS = pl.DataFrame(
    {
        "sample_id": [1, 2, 3],
        "x": [0.0, 1.0, 2.0],
        "y": [0.0, 1.0, 2.0],
        "label": ["ship", "cat", None],
        "predicted": ["ship", "dog", "cat"],
        "superclass": ["vehicle", "animal", None],
        "correct": [True, False, None],
        "loss": [0.1, 3.0, None],
        "contrast": [10.0, 20.0, 30.0],
        "size": [0.1, 3.0, 0.4],
        "image": ["/1.png", "/2.png", "/3.png"],
    }
)
NOTHING = POINTS.select("x", "y").clear()


def population(color: str = "label", points: pl.DataFrame = POINTS) -> dict[str, Any]:
    chart = charts.population_map(points, NOTHING, color=color, size="size", colors=(CLASSES, GROUPS))
    return dict(chart.to_dict())


def encoding(layer: dict[str, Any], channel: str) -> dict[str, Any]:
    return dict(layer["encoding"][channel])


def test_the_map_draws_a_larger_dot_for_a_higher_value() -> None:
    dots = population()["layer"][1]
    assert encoding(dots, "size")["field"] == "size"
    smallest, largest = encoding(dots, "size")["scale"]["range"]
    assert 0 < smallest < largest
    assert {channel: encoding(dots, channel)["field"] for channel in "xy"} == {"x": "x", "y": "y"}


def test_the_map_can_be_picked_and_boxed() -> None:
    params = {param["name"]: param["select"] for param in population()["params"]}
    assert params["pick"]["type"] == "point"
    assert params["pick"]["fields"] == ["sample_id"]
    assert params["box"]["type"] == "interval"
    assert params["box"]["encodings"] == ["x", "y"]


def test_the_map_shows_image_label_and_loss_on_hover() -> None:
    shown = [tooltip["field"] for tooltip in population("contrast")["layer"][1]["encoding"]["tooltip"]]
    assert shown == ["image", "sample_id", "label", "predicted", "loss", "contrast"]


def test_a_class_has_its_colour_whatever_else_is_shown() -> None:
    colors = class_colors(CLASSES, GROUPS)
    for points in (POINTS, POINTS.filter(pl.col("label") == "ship")):
        scale = encoding(population(points=points)["layer"][1], "color")["scale"]
        assert scale["range"] == [colors[value] for value in scale["domain"]]
    assert colors["cat"] in WARM
    assert colors["ship"] in COOL
    assert len(set(colors.values())) == len(CLASSES)


def test_loss_is_coloured_on_a_log_scale_in_nats() -> None:
    color = encoding(population("loss")["layer"][1], "color")
    assert color["scale"]["type"] == "log"
    assert color["scale"]["domain"][0] > 0
    assert "nats" in color["title"]


@pytest.mark.parametrize(
    ("color", "domain"), [("superclass", ["animal", "vehicle"]), ("correct", [False, True]), ("label", ["cat", "ship"])]
)
def test_named_values_are_nominal_and_keep_their_type(color: str, domain: list[Any]) -> None:
    found = encoding(population(color)["layer"][1], "color")
    assert found["type"] == "nominal"
    assert found["scale"]["domain"] == domain
    assert len(set(found["scale"]["range"])) == len(domain)


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
