"""Charts: functions from a frame to an `alt.Chart`, independent of streamlit."""

import json
from typing import Any

import altair as alt
import polars as pl

from lake.query.aggregates import or_zero
from pages.charts.palette import BAD, CHOSEN, CONTEXT, GOOD, LOWERS, NEUTRAL, RAISES, TEXT
from pages.charts.projection_layers import POSITION, Layers
from pages.charts.projection_state import MapState
from pages.charts.raster import Extent
from pages.charts.scales import LONGEST_LABEL, MOST_VALUES, ColorScale, color_scale
from pages.text.formatting import column_title

Colors = tuple[list[str], dict[str, dict[str, str]]]
Layered = alt.LayerChart | alt.FacetChart
"""What `alt.layer` returns: a facet chart if its layers share a facet."""
AnyChart = alt.Chart | Layered
"""Every type of chart that a page can draw."""
FEW_POINTS = 5000
MOST_BARS, MOST_ROWS, MOST_CENTRES = 10, 30, 15
"""Maximum numbers, if there are many classes: probabilities of a sample, rows of a chart, and names on a map."""
MAP_HEIGHT, MAP_PADDING, MATRIX_HEIGHT = 560, 5, 460
"""In pixels; the lasso locates the plot below the legend with them."""
CORRECT, FEW, MANY, FEWER = (
    "#cfd3d8",
    "#fdebe4",
    "#f46036",
    "#6fa8f0",
)  # opaque: the numbers on them are black in dark mode too
DRAG, SHIFT_DRAG = (
    f"[pointerdown[{shift}event.shiftKey], window:pointerup] > window:pointermove!" for shift in ("!", "")
)
EVERY_LABEL = alt.Axis(labelOverlap=False, labelLimit=160)
TIME_FORMAT = "%d %b %H:%M"


def population_map(
    layers: Layers,
    scale: ColorScale,
    *,
    sizes: tuple[float, float],
    folder: str,
    start: MapState,
    height: int = MAP_HEIGHT,
    legend: bool = True,
) -> Layered:
    """Draw the layers of the map; click picks, drag draws a box, the wheel zooms, the legend isolates.

    `sizes` are the values of the smallest and the largest dot, `start` is the initial view and box, `folder` the URL
    prefix of the thumbnails in the hover card, empty if there are none.
    """
    x, y = _axes(layers)
    position = {"x": alt.X("at_x:Q", **x), "y": alt.Y("at_y:Q", **y)}
    below = _layers_below_dots(layers, x, y)
    ring = alt.Chart(layers.chosen_sample).mark_point(color=CHOSEN, size=260, strokeWidth=2.5, opacity=1, aria=False)
    base = alt.Chart(scale.name_others(layers.dots))
    if folder:
        base = base.transform_calculate(image=f"{json.dumps(folder)} + datum.sample_id + '.png'")
    dots = (
        base.mark_circle(opacity=0.01 if len(layers.images) else 0.7, strokeWidth=0)
        .encode(
            **position,
            color=scale.to_altair(legend=legend),
            size=_size(sizes, few=len(layers.dots) <= FEW_POINTS and not layers.dense),
            tooltip=_tooltip(layers.dots, images=bool(folder)),
        )
        .add_params(*_selections(start, scale, legend=legend))
    )
    # The dots are the second to last layer, so that they are picked rather than what lies below them.
    return (
        alt.layer(*below, dots, ring.encode(**position))
        .properties(
            height=height,
            padding=dict.fromkeys(("left", "right", "top", "bottom"), MAP_PADDING),
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        )
        .configure_view(strokeWidth=0)
    )


def _axes(layers: Layers) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of both axes, which show the extent and no ticks."""
    left, right, bottom, top = layers.extent
    domains = ([left, right], [bottom, top])
    x, y = ({"axis": None, "scale": alt.Scale(domain=domain, nice=False)} for domain in domains)
    return x, y


def _layers_below_dots(layers: Layers, x: dict[str, Any], y: dict[str, Any]) -> list[alt.Chart]:
    """The density picture, the lines to the neighbours, the images and the lasso."""
    position = {"x": alt.X("at_x:Q", **x), "y": alt.Y("at_y:Q", **y)}
    picture = (
        alt.Chart(layers.picture)
        .mark_image(aspect=False, aria=False)
        .encode(x=alt.X("left:Q", **x), x2="right", y=alt.Y("bottom:Q", **y), y2="top", url="url:N")
    )
    rays = (
        alt.Chart(layers.rays).mark_rule(color=CHOSEN, opacity=0.6, aria=False).encode(**position, x2="to_x", y2="to_y")
    )
    images = alt.Chart(layers.images).mark_image(width=34, height=34, aria=False).encode(**position, url="url:N")
    lasso = (
        alt.Chart(layers.outline)
        .mark_line(color=CHOSEN, strokeWidth=2, aria=False)
        .encode(**position, order="corner:Q")
    )
    return [picture, rays, images, lasso]


def _selections(start: MapState, scale: ColorScale, *, legend: bool) -> list[alt.Parameter]:
    """Return the interactions. No mark depends on them: it would be redrawn on each move of the mouse."""
    parameters = [
        alt.selection_point(name="pick", fields=["sample_id"], on="click", clear="dblclick"),
        alt.selection_interval(name="box", encodings=["x", "y"], zoom=False, on=DRAG, **_interval(start.box)),
        alt.selection_interval(name="zoom", bind="scales", translate=SHIFT_DRAG, **_interval(start.view)),
    ]
    if legend and scale.kind == "nominal":
        parameters.append(alt.selection_point(name="only", fields=[scale.field], bind="legend"))
    return parameters


def _interval(extent: Extent | None) -> dict[str, Any]:
    return {"value": {"x": list(extent[:2]), "y": list(extent[2:])}} if extent else {}


def probability_bars(frame: pl.DataFrame, label: str | None) -> alt.Chart:
    """Draw a bar for each class, most probable first; of many classes the highest and the given label, in orange."""
    classes = frame.with_columns((pl.col("label") == (label or "")).alias("given"))
    visible = classes.filter(pl.col("given") | (pl.int_range(pl.len()) < MOST_BARS))
    of_many = len(visible) < len(frame)
    title = ["Probability", *([f"highest of {len(frame):,}"] if of_many else [])]
    return (
        alt.Chart(visible)
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            x=alt.X(
                "probability:Q",
                title=[*title, "(label orange)"],
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", tickCount=4),
            ),
            y=alt.Y("label:N", title=None, sort="-x", axis=alt.Axis(labelOverlap=False, labelLimit=LONGEST_LABEL)),
            color=alt.Color(
                "given:N",
                scale=alt.Scale(domain=[True, False], range=[BAD, CONTEXT]),
                legend=None,
            ),
            tooltip=["label", alt.Tooltip("probability:Q", format=".1%")],
        )
        .properties(height=alt.Step(21))
    )


def signed_map(
    cells: pl.DataFrame,
    *,
    limit: float,
    url: str | None = None,
    opacity: float = 0.6,
    side: int = 280,
    grey: bool = False,
) -> Layered:
    """Cells (row, column, value in nats) over the image: red raises the loss, blue lowers it, symmetric around 0.

    `grey` is for a map that has nothing to explain.
    """
    rows, columns = (or_zero(cells[side].max()) + 1 for side in ("row", "column"))
    edges = cells.with_columns(
        (pl.col("column") / columns).alias("left"),
        ((pl.col("column") + 1) / columns).alias("right"),
        (pl.col("row") / rows).alias("top"),
        ((pl.col("row") + 1) / rows).alias("bottom"),
    )
    color = alt.Color(
        "value:Q",
        title="nats",
        scale=alt.Scale(domain=[-limit, 0, limit], range=[LOWERS, NEUTRAL, RAISES], clamp=True, interpolate="rgb"),
        legend=None,
    )
    unit_axis: dict[str, Any] = {"scale": alt.Scale(domain=[0, 1]), "axis": None}
    overlay = (
        alt.Chart(edges)
        .mark_rect(opacity=opacity if url else 1.0)
        .encode(
            x=alt.X("left:Q", **unit_axis),
            x2="right",
            y=alt.Y("top:Q", scale=alt.Scale(domain=[1, 0]), axis=None),
            y2="bottom",
            color=alt.value(CONTEXT) if grey else color,
            tooltip=[
                alt.Tooltip("value:Q", title="nats", format="+.3f"),
                alt.Tooltip("row:Q", title="Row"),
                alt.Tooltip("column:Q", title="Column"),
            ],
        )
    )
    layers = [overlay]
    if url:
        base: Any = alt.Chart(pl.DataFrame({"url": [url], "left": [0.5], "top": [0.5]}))
        image = base.mark_image(width=alt.ExprRef("width"), height=alt.ExprRef("height"), smooth=False).encode(
            x=alt.X("left:Q", **unit_axis), y=alt.Y("top:Q", scale=alt.Scale(domain=[1, 0]), axis=None), url="url:N"
        )
        layers = [image, overlay]
    # Without it Streamlit would reserve 20 px below and squeeze the cells.
    no_padding = {"left": 0, "top": 0, "right": 0, "bottom": 0}
    return alt.layer(*layers).properties(width=side, height=side, padding=no_padding).configure_view(strokeWidth=0)


def check_bars(frame: pl.DataFrame, *, title: str) -> Layered:
    """Draw bars of `nats`: as it is, without the red quarter, without the blue one, without an equal area elsewhere."""
    names = frame["what"].to_list()
    base = alt.Chart(frame).encode(
        y=alt.Y("what:N", sort=names, title=None, axis=EVERY_LABEL),
        x=alt.X("nats:Q", title=f"{title} (nats)", axis=alt.Axis(tickCount=4)),
        tooltip=[alt.Tooltip("what:N", title=title), alt.Tooltip("nats:Q", format=".3f")],
    )
    colors = alt.Scale(domain=names, range=[TEXT, RAISES, LOWERS, CONTEXT])
    bars = base.mark_bar(cornerRadiusEnd=3).encode(color=alt.Color("what:N", scale=colors, legend=None))
    text = base.mark_text(align="left", dx=4, color=CONTEXT).encode(text=alt.Text("nats:Q", format=".2f"))
    return alt.layer(bars, text).properties(height=alt.Step(30))


def confusion_matrix(frame: pl.DataFrame, classes: list[str], *, value: str) -> Layered:
    """Label by prediction; `value` is n, share of the label or its difference to another run.

    Errors carry the colour, the diagonal is grey; a difference is red if it is worse (more errors, fewer right) and
    blue if it is better.
    """
    pick = alt.selection_point(name="cell", fields=["label", "predicted"], on="click", clear="dblclick")
    if value == "difference":
        right = pl.col("label") == pl.col("predicted")
        frame = frame.with_columns(worse=pl.when(right).then(-pl.col("difference")).otherwise("difference"))
    base = alt.Chart(frame).encode(
        x=alt.X(
            "predicted:N",
            sort=classes,
            title="Predicted",
            axis=alt.Axis(labelAngle=-40, orient="top", labelOverlap=False),
        ),
        y=alt.Y("label:N", sort=classes, title="Given label", axis=EVERY_LABEL),
        tooltip=[
            alt.Tooltip("label:N", title="Label"),
            alt.Tooltip("predicted:N", title="Predicted"),
            alt.Tooltip("n:Q", title="Samples", format=","),
            alt.Tooltip("share:Q", title="Share of the label", format=".1%"),
            alt.Tooltip("mean_loss:Q", title="Mean loss (nats)", format=".2f"),
        ],
    )
    tiles = base.mark_rect(cornerRadius=3).encode(color=_cell_color(frame, value))
    text_format = {"n": ",", "share": ".0%", "difference": "+.1%"}[value]
    text = base.mark_text(fontSize=12, color="black").encode(text=alt.Text(f"{value}:Q", format=text_format))
    return alt.layer(tiles.add_params(pick), text).properties(height=MATRIX_HEIGHT)


def _cell_color(frame: pl.DataFrame, value: str) -> Any:
    if value == "difference":
        limit = or_zero(frame["difference"].abs().max()) or 1.0
        scale = alt.Scale(range=[FEWER, CORRECT, MANY], domain=[-limit, 0, limit], interpolate="rgb")
        return alt.Color("worse:Q", scale=scale, legend=None)
    highest_share = or_zero(frame.filter(pl.col("label") != pl.col("predicted"))["share"].max()) or 1.0
    share = alt.Color("share:Q", scale=alt.Scale(range=[FEW, MANY], domain=[0, highest_share]), legend=None)
    return alt.condition(alt.datum.label == alt.datum.predicted, alt.value(CORRECT), share)


def reliability(frame: pl.DataFrame) -> Layered:
    """Draw the share right against the confidence with Wilson intervals (`low`, `high`); calibrated on the diagonal."""
    axis = alt.Axis(format="%")
    unit = alt.Scale(domain=[0, 1])
    diagonal = (
        alt.Chart(pl.DataFrame({"v": [0.0, 1.0]})).mark_line(strokeDash=[4, 4], color=CONTEXT).encode(x="v:Q", y="v:Q")
    )
    base = alt.Chart(frame).encode(x=alt.X("confidence:Q", title="Mean confidence of the bin", scale=unit, axis=axis))
    bars = base.mark_rule(color=GOOD).encode(y=alt.Y("low:Q", title="Share right", scale=unit, axis=axis), y2="high:Q")
    dots = base.mark_circle(color=GOOD, size=50).encode(
        y="accuracy:Q",
        tooltip=[alt.Tooltip("n:Q", title="Samples"), alt.Tooltip("accuracy:Q", format=".1%", title="Share right")],
    )
    return alt.layer(diagonal, bars, dots).properties(height=300)


def lines(
    frame: pl.DataFrame, *, x: str, y: str, x_title: str, y_title: str, is_share: bool = False, height: int = 220
) -> alt.Chart:
    """Draw one line with its points; shares in per cent, times with their date."""
    is_time = x.endswith(":T")
    time_format = TIME_FORMAT if is_time else alt.Undefined
    return (
        alt.Chart(frame)
        .mark_line(color=GOOD, point=alt.OverlayMarkDef(color=GOOD, size=25))
        .encode(
            x=alt.X(x, title=x_title, axis=alt.Axis(format=time_format, tickCount=5 if is_time else alt.Undefined)),
            y=alt.Y(
                y,
                title=y_title,
                scale=alt.Scale(zero=False),
                axis=alt.Axis(format=".4~p" if is_share else alt.Undefined),
            ),
            tooltip=[
                alt.Tooltip(x, title=x_title, format=time_format),
                alt.Tooltip(y, title=y_title, format=".1%" if is_share else ".3f"),
            ],
        )
        .properties(height=height)
    )


def changes(frame: pl.DataFrame, *, title: str) -> Layered:
    """A dot with its interval (`low`, `high`) for the `change` of each `value`; right of 0, in orange, it rose.

    If there are too many rows, only the first are drawn.
    """
    frame = frame.head(MOST_ROWS)
    order = frame["value"].to_list()
    base = alt.Chart(frame).encode(
        y=alt.Y("value:N", sort=order, title=title, axis=EVERY_LABEL),
        color=alt.condition(alt.datum.change > 0, alt.value(BAD), alt.value(GOOD)),
        tooltip=[
            alt.Tooltip("value:N", title=title),
            alt.Tooltip("n:Q", title="Samples", format=","),
            alt.Tooltip("change:Q", title="Change of the loss (nats)", format="+.3f"),
            alt.Tooltip("low:Q", title="95 % from", format="+.3f"),
            alt.Tooltip("high:Q", title="to", format="+.3f"),
        ],
    )
    zero = alt.Chart(pl.DataFrame({"nats": [0.0]})).mark_rule(color=CONTEXT, strokeDash=[4, 4]).encode(x="nats:Q")
    ends = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title="Change of the mean loss (nats)"), x2="high:Q")
    dots = base.mark_circle(size=70, opacity=1).encode(x="change:Q")
    return alt.layer(zero, ends, dots).properties(height=alt.Step(24))


def class_moves(centres: pl.DataFrame, context: pl.DataFrame, colors: Colors) -> Layered:
    """Draw how the centre of each class moved on the map, from ring to dot, over some samples in grey.

    If there are more classes than a legend holds, only the first are drawn, in distinct colours.
    """
    if len(centres) > MOST_VALUES:
        centres, colors = centres.head(MOST_CENTRES), ([], {})
    hidden_axis: dict[str, Any] = {"axis": None, "scale": alt.Scale(zero=False)}
    x, y = alt.X("x:Q", **hidden_axis), alt.Y("y:Q", **hidden_axis)
    grey = alt.Chart(context).mark_circle(size=7, opacity=0.25, color=CONTEXT).encode(x=x, y=y)
    base = alt.Chart(centres).encode(
        color=color_scale(centres["label"], *colors).to_altair(legend=False),
        tooltip=[
            alt.Tooltip("label:N", title="Class"),
            alt.Tooltip("n:Q", title="Samples", format=","),
            alt.Tooltip("moved:Q", title="Share of the radius", format=".1%"),
        ],
    )
    start = {"x": alt.X("x_before:Q", **hidden_axis), "y": alt.Y("y_before:Q", **hidden_axis)}
    paths = base.mark_rule(strokeWidth=2).encode(**start, x2="x", y2="y")
    rings = base.mark_point(size=90, strokeWidth=2).encode(**start)
    dots = base.mark_circle(size=150, opacity=1).encode(x=x, y=y)
    names = base.mark_text(dx=12, align="left", fontSize=13, fontWeight="bold")
    return (
        alt.layer(grey, paths, rings, dots, names.encode(x=x, y=y, text="label:N"))
        .properties(height=460)
        .configure_view(strokeWidth=0)
    )


def bars(frame: pl.DataFrame, *, x: str, y: str, x_title: str, colors: Colors | None = None) -> Any:
    """Draw horizontal bars, longest first and limited in number; with few classes in their colours."""
    frame = frame if len(frame) <= MOST_ROWS else frame.top_k(MOST_ROWS, by=x)
    colors = colors if colors and len(colors[0]) <= MOST_VALUES else None
    mark = alt.Chart(frame).mark_bar(cornerRadiusEnd=3, color=GOOD)
    color = {"color": color_scale(frame[y], *colors).to_altair(legend=False)} if colors else {}
    chart: Any = mark.encode(
        x=alt.X(f"{x}:Q", title=x_title), y=alt.Y(f"{y}:N", sort="-x", title=None, axis=EVERY_LABEL), **color
    )
    return chart.properties(height=alt.Step(21))


def _size(domain: tuple[float, float], *, few: bool) -> alt.Size:
    scale = alt.Scale(type="sqrt", domain=domain, range=[5, 160 if few else 60], clamp=True)
    return alt.Size("size:Q", scale=scale, legend=None)


def _tooltip(dots: pl.DataFrame, *, images: bool) -> list[alt.Tooltip]:
    """Return the hover card; vega shows a value with the title "image" as an image."""
    columns = [column for column in dots.columns if column not in (*POSITION, "size")]
    formats = {c: ".3f" if dots.schema[c].is_float() else alt.Undefined for c in columns}
    rows = [alt.Tooltip(c, title=column_title(c), format=formats[c]) for c in columns]
    return [*([alt.Tooltip("image:N", title="image")] if images else []), *rows]
