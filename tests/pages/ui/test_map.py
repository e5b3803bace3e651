"""The map: its state is its address, what is drawn is what the filters keep, and a picture shows every sample."""

import io
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from polars.testing import assert_series_equal

from lake.query.filters import Filters
from lake.query.sample_columns import SIZES
from pages.charts import projection_layers, raster
from pages.charts.lasso import MAX_CORNERS, encloses
from pages.charts.palette import CONTEXT, LOSS_RAMP, class_colors
from pages.charts.projection_state import FINEST, MapState, from_query
from pages.charts.scales import color_scale, hex_to_rgb
from tests.support.data.scalars import number
from tests.support.lakes.tiny_data import CLASSES, GROUPS

COLORS = ["superclass", "label", "loss", "correct"]
NO_FILTER = Filters()
STATE = MapState(color="label")
TRIANGLE = ((0.0, 0.0), (1.0, 0.0), (0.5, 1.0))

finite = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: float(f"{value:.5g}"))
polygons = st.lists(st.tuples(finite, finite), min_size=3, max_size=MAX_CORNERS).map(tuple)
extents = st.tuples(finite, finite, finite, finite).filter(lambda e: e[1] - e[0] >= FINEST and e[3] - e[2] >= FINEST)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
states = st.builds(
    MapState,
    color=st.sampled_from(COLORS),
    size=st.sampled_from(SIZES),
    layout=st.sampled_from(["umap", "pca"]),
    show=st.sampled_from(["dots", "images"]),
    view=st.none() | extents,
    box=st.none() | extents,
    lasso=st.just(()) | polygons,
    sample=st.none() | st.integers(0, 10**9),
    only=st.lists(texts, max_size=4).map(tuple),
    colored=st.lists(texts, max_size=4).map(tuple),
).filter(lambda state: not (state.box and state.lasso))
names = st.sampled_from(["color", "size", "layout", "show", "view", "box", "lasso", "sample", "only", "colored", "run"])
odd = st.sampled_from(["", "1,2,3", "1,0,0,1", "nan,1,0,1", "-inf,inf,0,1", "1e999,2,0,1", "\ud800", "%ff", "9" * 400])


def samples(size: int = 60) -> pl.DataFrame:
    """Cats on the left, ships on the right, losses growing with the number."""
    ids = np.arange(size)
    frame = pl.DataFrame(
        {
            "sample_id": ids,
            "label": np.where(ids % 2 == 0, "cat", "ship"),
            "predicted": "cat",
            "superclass": np.where(ids % 2 == 0, "animal", "vehicle"),
            "loss": ids / size,
            "expected_loss": 0.5,
            "confidence": 0.5,
            "x": np.where(ids % 2 == 0, -1.0, 1.0) + ids / 1000,
            "y": ids / size,
            "pca_x": ids / size,
            "pca_y": -ids / size,
        }
    )
    return frame.with_columns(pl.when(pl.col("sample_id") > 1).then(pl.col("label", "loss")))


def lay_out(
    state: MapState = STATE, filters: Filters = NO_FILTER, frame: pl.DataFrame | None = None, **options: int
) -> Any:
    near = pl.DataFrame({"neighbor_id": [4, 6, 8]})
    shown = samples() if frame is None else frame
    return projection_layers.lay_out(
        shown, filters, state, neighbors=near, folder="/t/", picture_url="/p.png", **options
    )


def picture(
    state: MapState = STATE, filters: Filters = NO_FILTER, frame: pl.DataFrame | None = None, **options: int
) -> np.ndarray:
    frame = samples() if frame is None else frame
    png = projection_layers.draw(frame, filters, state, color_scale(frame[state.color], CLASSES, GROUPS), **options)
    return np.asarray(Image.open(io.BytesIO(png)))


# --- state and address


@given(states)
def test_an_address_says_the_whole_state(state: MapState) -> None:
    query = dict(parse_qsl(urlencode(state.to_query())))
    assert from_query(query, COLORS) == (state, [])


@given(st.dictionaries(names, odd | st.text() | texts))
@example({"box": "1,2,3,4,5"})
@example({"lasso": "0,0,1,1"})
@example({"lasso": "0,0,1,1,nan,0"})
@example({"lasso": ",".join("7" * 200)})
@example({"sample": "٣"})
@example({"only": "," * 1000})
@example({"view": "1,1,0,0"})
def test_hostile_parameters_are_left_out_and_named(query: dict[str, str]) -> None:
    state, refused = from_query(query, COLORS)
    assert state.color in COLORS
    assert set(refused) <= set(query)
    assert from_query(state.to_query(), COLORS) == (state, [])


def test_a_link_to_a_deep_zoom_shows_what_was_seen() -> None:
    zoomed = STATE.changed(view=(14.99999, 15.0, -7.0, -6.99999))
    assert from_query(zoomed.to_query(), COLORS) == (zoomed, [])
    wide = STATE.changed(view=(-2.123456789, 3.0, 0.0, 1.0))
    assert wide.to_query()["view"] == "-2.12346,3,0,1"


@pytest.mark.parametrize("view", ["-1e308,1e308,-1e308,1e308", "0,1e-320,0,1", "0,1,5,5", "1e7,2e7,0,1", "nan,1,0,1"])
def test_an_extent_that_no_map_has_is_left_out(view: str) -> None:
    assert from_query({"view": view}, COLORS) == (MapState(color=COLORS[0]), ["view"])


def test_what_is_as_at_first_is_not_in_the_address() -> None:
    assert STATE.to_query() == {"color": "label"}
    assert STATE.changed(box=(0.0, 1.0, -2.5, 3.0), sample=7).to_query() == {
        "color": "label",
        "box": "0,1,-2.5,3",
        "sample": "7",
    }


def test_another_colour_forgets_isolated_values_and_another_layout_the_view() -> None:
    zoomed = STATE.changed(only=("cat",), view=(0.0, 1.0, 0.0, 1.0), box=(0.0, 1.0, 0.0, 1.0))
    assert zoomed.changed(color="loss").only == ()
    assert STATE.changed(colored=("cat",)).changed(color="loss").colored == ()
    assert zoomed.changed(color="label").only == ("cat",)
    moved = zoomed.changed(layout="pca")
    assert (moved.view, moved.box, moved.axes) == (None, None, ("pca_x", "pca_y"))


def test_a_box_and_a_lasso_take_each_others_place() -> None:
    boxed = STATE.changed(box=(0.0, 1.0, 0.0, 1.0))
    drawn = boxed.changed(lasso=TRIANGLE)
    assert (drawn.box, drawn.lasso) == (None, TRIANGLE)
    assert drawn.changed(box=(0.0, 1.0, 0.0, 1.0)).lasso == ()
    assert drawn.changed(layout="pca").lasso == ()
    assert drawn.changed(lasso=()).has_selection is False


# --- lasso


def test_a_lasso_holds_what_lies_in_it() -> None:
    frame = pl.DataFrame({"x": [0.5, 0.1, 2.0, None, 0.5], "y": [0.4, 0.9, 0.1, 0.4, None]})
    assert frame.select(encloses(TRIANGLE, "x", "y")).to_series().to_list() == [True, False, False, None, None]


@given(polygons, st.lists(st.tuples(finite, finite), min_size=1, max_size=20))
def test_a_lasso_holds_the_same_samples_whichever_corner_is_first(polygon: Any, places: list[Any]) -> None:
    frame = pl.DataFrame(places, schema=["x", "y"], orient="row")
    turned = polygon[1:] + polygon[:1]
    first, second = (frame.select(encloses(shape, "x", "y")).to_series() for shape in (polygon, turned))
    assert_series_equal(first, second, check_names=False)


def test_a_lasso_in_the_shape_of_a_u_leaves_out_its_inside() -> None:
    shape = ((0.0, 0.0), (3.0, 0.0), (3.0, 3.0), (2.0, 3.0), (2.0, 1.0), (1.0, 1.0), (1.0, 3.0), (0.0, 3.0))
    frame = pl.DataFrame({"x": [0.5, 1.5, 1.5, 2.5], "y": [2.0, 2.0, 0.5, 2.0]})
    assert frame.select(encloses(shape, "x", "y")).to_series().to_list() == [True, False, True, True]


# --- layers


def test_a_lasso_is_drawn_as_a_closed_line_and_its_highest_stay_dots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection_layers, "DOTS_OVER_DENSITY", 2)
    layers = lay_out(STATE.changed(lasso=((-2.0, 0.0), (0.0, 0.0), (-1.0, 0.2))), most_dots=20)
    assert layers.outline.rows() == [(0, -2.0, 0.0), (1, 0.0, 0.0), (2, -1.0, 0.2), (3, -2.0, 0.0)]
    assert set(layers.dots["sample_id"]) == {0, 2, 4, 6, 8, 10, 58, 59}
    assert lay_out().outline.is_empty()


def test_few_samples_are_all_dots_and_need_no_picture() -> None:
    layers = lay_out()
    assert layers.dots["sample_id"].to_list() == [*layers.dots.sort("size")["sample_id"]]
    assert (len(layers.dots), layers.in_view, layers.dense) == (60, 60, False)
    assert (
        layers.picture.is_empty()
        and layers.rays.is_empty()
        and layers.images.is_empty()
        and layers.chosen_sample.is_empty()
    )


def test_a_sample_without_a_loss_is_as_large_as_the_one_expected_of_it() -> None:
    size = dict(lay_out().dots.select("sample_id", "size").iter_rows())
    assert size[0] == 0.5
    assert size[30] == 0.5
    assert size[59] == pytest.approx(59 / 60)


def test_a_sample_without_the_property_it_is_sized_by_has_no_size() -> None:
    frame = samples().with_columns(pl.when(pl.col("sample_id") > 0).then(7.0).alias("contrast"))
    size = dict(lay_out(STATE.changed(size="contrast"), frame=frame).dots.select("sample_id", "size").iter_rows())
    assert (size[0], size[1]) == (None, 7.0)


def test_what_the_filters_leave_out_is_a_grey_picture_beneath() -> None:
    cats = Filters.of(label="cat")
    layers = lay_out(filters=cats)
    assert set(layers.dots["label"]) == {"cat"}
    assert layers.picture.height == 1
    shown = picture(filters=cats)
    visible = shown[shown[..., 3] > 0][:, :3]
    assert len(visible) and (visible == hex_to_rgb(CONTEXT)).all()
    half = shown.shape[1] // 2
    assert shown[:, half:, 3].any()
    assert shown[:, : half // 2, 3].sum() < shown[:, half:, 3].sum() / 10, "only the one without a label is left"


def test_isolated_values_leave_the_others_grey() -> None:
    layers = lay_out(STATE.changed(only=("ship",)))
    assert set(layers.dots["label"]) == {"ship"}
    assert layers.picture.height == 1


def test_a_large_run_that_nothing_filters_is_laid_out() -> None:
    large = pl.concat([samples()] * 1000, rechunk=True).with_columns(sample_id=pl.int_range(pl.len(), dtype=pl.Int64))
    layers = lay_out(frame=large)
    assert layers.dense
    assert layers.in_view == len(large) == 60_000


def test_many_samples_are_a_picture_of_their_density_and_the_highest_are_dots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection_layers, "DOTS_OVER_DENSITY", 5)
    layers = lay_out(STATE.changed(sample=2, box=(-2.0, 0.0, 0.09, 0.21)), most_dots=20)
    assert layers.dense
    assert layers.in_view == 60
    assert set(layers.dots["sample_id"]) == {2, 6, 8, 10, 12, 55, 56, 57, 58, 59}, "the chosen and the boxed ones stay"
    shown, colors = picture(most_dots=20), class_colors(CLASSES, GROUPS)
    found = {tuple(map(int, color)) for color in shown[shown[..., 3] > 0][:, :3]}
    assert {hex_to_rgb(colors["cat"]), hex_to_rgb(colors["ship"])} <= found


def test_zooming_in_turns_density_into_dots() -> None:
    left = STATE.changed(view=(-2.0, 0.0, -1.0, 2.0))
    assert lay_out(most_dots=40).dense
    layers = lay_out(left, most_dots=40)
    assert not layers.dense
    assert (layers.dots["at_x"] < 0).all()
    assert layers.in_view == 30


def test_the_address_of_a_picture_says_all_it_depends_on_and_nothing_else() -> None:
    state = STATE.changed(view=(-2.0, 0.0, -1.0, 2.0), sample=3, box=(0.0, 1.0, 0.0, 1.0), only=("cat",))
    (url,) = lay_out(state, Filters.of(label="cat")).picture["url"]
    query = dict(parse_qsl(urlsplit(url).query))
    assert query == {"color": "label", "view": "-2,0,-1,2", "only": "cat", "f": "label.is.cat"}
    assert from_query(query, COLORS)[1] == []


def test_a_chosen_sample_has_a_ring_and_a_line_to_each_of_its_nearest() -> None:
    layers = lay_out(STATE.changed(sample=3))
    assert layers.chosen_sample["sample_id"].to_list() == [3]
    ends = layers.rays.select("to_x", "to_y").sort("to_y").rows()
    nearest = samples().filter(pl.col("sample_id").is_in([4, 6, 8])).select("x", "y").rows()
    assert ends == nearest


def test_images_show_the_highest_of_each_cell_of_a_grid() -> None:
    layers = lay_out(STATE.changed(show="images"))
    assert 0 < len(layers.images) <= projection_layers.IMAGES_ACROSS * projection_layers.IMAGES_DOWN
    assert 59 in layers.images["sample_id"]
    assert layers.images.filter(sample_id=59)["url"].item() == "/t/59.png"


def test_the_other_view_lies_on_principal_components() -> None:
    dots = lay_out(STATE.changed(layout="pca")).dots.sort("sample_id")
    assert dots["at_x"].to_list() == samples()["pca_x"].to_list()


def test_a_run_older_than_a_view_shows_an_empty_one() -> None:
    older = samples().with_columns(pca_x=pl.lit(None, pl.Float64), pca_y=pl.lit(None, pl.Float64))
    state = STATE.changed(layout="pca")
    assert lay_out(state, frame=older).dots.is_empty()
    assert not picture(state, frame=older).any()


def test_an_extent_holds_every_sample() -> None:
    left, right, bottom, top = projection_layers.full_extent(samples(), STATE)
    assert left < number(samples()["x"].min()) and number(samples()["x"].max()) < right
    assert bottom < 0 and 59 / 60 < top < 2
    same = samples().with_columns(x=pl.lit(1.0))
    assert projection_layers.full_extent(same, STATE)[:2] == (0, 2)


# --- pictures


def density(x: np.ndarray, y: np.ndarray, rgb: np.ndarray, *, width: int = 20, height: int = 20) -> np.ndarray:
    drawn = raster.Density((0.0, 1.0, 0.0, 1.0), width=width, height=height)
    for part in np.array_split(np.arange(len(x)), 2):  # as a large run comes
        drawn.add(x[part], y[part], rgb[part])
    return drawn.to_picture()


def test_every_dot_of_a_picture_is_where_it_lies_and_none_is_lost() -> None:
    x, y = np.array([0.05, 0.95]), np.array([0.95, 0.05])
    red = np.array([[255.0, 0, 0], [0, 0, 255.0]])
    shown = density(x, y, red, height=10)
    assert shown.shape == (10, 20, 4)
    assert shown[0, 1].tolist()[:3] == [255, 0, 0]
    assert shown[9, 19].tolist()[:3] == [0, 0, 255]
    assert shown[5, 10].tolist() == [0, 0, 0, 0]
    assert np.count_nonzero(shown[..., 3]) == 4 + 3, "five pixels each, less what lies beyond the edge"


def test_where_more_lie_a_picture_is_stronger_and_has_their_mean_colour() -> None:
    x = np.array([0.25] * 9 + [0.75] * 2)
    rgb = np.array([[255.0, 0, 0]] * 9 + [[255.0, 0, 0], [0, 0, 255.0]])
    shown = density(x, np.full(11, 0.5), rgb)
    assert shown[10, 5, 3] > shown[10, 15, 3] >= round(255 * raster.FAINTEST)
    assert shown[10, 15].tolist()[:3] == [128, 0, 128]


def test_what_lies_outside_a_picture_is_not_drawn() -> None:
    assert not density(np.array([-1.0, 5.0]), np.array([0.5, 0.5]), np.zeros((2, 3)), width=8, height=8).any()


# --- colours


def test_a_picture_and_a_legend_have_the_same_colours() -> None:
    labels = pl.Series("label", ["ship", "cat", None, "dog"])
    scale = color_scale(labels, CLASSES, GROUPS)
    colors = class_colors(CLASSES, GROUPS)
    assert scale.domain == ["cat", "dog", "ship"]
    assert scale.range_ == [colors[name] for name in scale.domain]
    expected = [colors["ship"], colors["cat"], CONTEXT, colors["dog"]]
    assert scale.rgb(labels).tolist() == [[*map(float, hex_to_rgb(color))] for color in expected]


def test_a_loss_has_the_same_colour_in_every_run() -> None:
    for values in ([0.001, 0.5], [5.0, 20.0], [None]):
        scale = color_scale(pl.Series("loss", values, dtype=pl.Float64), CLASSES, GROUPS)
        assert (scale.kind, scale.domain[0], scale.domain[-1]) == ("log", 0.01, 10)
    ends = scale.rgb(pl.Series("loss", [0.0, 0.01, 10.0, 1e9, None])).tolist()
    first, last = ([*map(float, hex_to_rgb(LOSS_RAMP[i]))] for i in (0, -1))
    assert ends == [first, first, last, last, [*map(float, hex_to_rgb(CONTEXT))]]


@pytest.mark.parametrize(
    ("column", "values", "domain"),
    [("correct", [True, False, None], [False, True]), ("cluster_kmeans", [3, 0, None, 3], [0, 3])],
)
def test_values_that_are_no_text_keep_their_type(column: str, values: list[Any], domain: list[Any]) -> None:
    scale = color_scale(pl.Series(column, values), CLASSES, GROUPS)
    assert (scale.kind, scale.domain) == ("nominal", domain)
    assert len(set(scale.range_)) == len(domain)
    assert scale.rgb(pl.Series(column, values))[2].tolist() == [*map(float, hex_to_rgb(CONTEXT))]


def test_a_property_is_coloured_between_its_quantiles_and_a_constant_does_not_fail() -> None:
    scale = color_scale(pl.Series("contrast", np.arange(101.0)), CLASSES, GROUPS)
    assert (scale.kind, scale.domain[0], scale.domain[-1]) == ("linear", 1, 99)
    constant = color_scale(pl.Series("contrast", [1.0, 1.0]), CLASSES, GROUPS)
    assert np.isfinite(constant.rgb(pl.Series("contrast", [1.0]))).all()
