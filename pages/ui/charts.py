"""Charts: a frame in, an `alt.Chart` out; nothing here knows streamlit."""

from typing import Any

import altair as alt
import polars as pl

from pages.ui.palette import BAD, CONTEXT, GOOD, LOWERS, NEUTRAL, RAISES, value_colors
from pages.ui.words import name

Colors = tuple[list[str], dict[str, dict[str, str]]]
LOSS_DOMAIN = [0.01, 10]
FEW_POINTS = 5000
CORRECT, FEW, MANY = "#cfd3d8", "#fdebe4", "#f46036"  # opaque: the numbers on them are black in dark mode too
EVERY_LABEL = alt.Axis(labelOverlap=False, labelLimit=160)


def population_map(
    points: pl.DataFrame, context: pl.DataFrame, *, color: str, size: str | None, colors: Colors, height: int = 560
) -> alt.LayerChart:
    """A dot a sample, larger where `size` is larger; `context` in grey beneath. Click picks, drag draws a box."""
    # Selection parameters stand alone: a conditional encoding would redraw every mark on each mouse move.
    pick = alt.selection_point(name="pick", fields=["sample_id"], on="click", clear="dblclick")
    box = alt.selection_interval(name="box", encodings=["x", "y"])
    grey = alt.Chart(context).mark_circle(color=CONTEXT, opacity=0.15, size=8).encode(x=_place("x"), y=_place("y"))
    dots = (
        alt.Chart(points)
        .mark_circle(opacity=0.65, strokeWidth=0)
        .encode(
            x=_place("x"),
            y=_place("y"),
            color=_color(points, color, colors),
            size=_size(size, few=len(points) <= FEW_POINTS),
            tooltip=_tooltip(points, color),
        )
        .add_params(pick, box)
    )
    return alt.layer(grey, dots).properties(height=height).configure_view(strokeWidth=0)


def probability_bars(frame: pl.DataFrame, label: object) -> alt.Chart:
    """A bar a class, most probable first; the given label is orange."""
    given = frame.with_columns((pl.col("label") == (label or "")).alias("given"))
    return (
        alt.Chart(given)
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            x=alt.X(
                "probability:Q",
                title="Probability (label orange)",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", tickCount=4),
            ),
            y=alt.Y("label:N", title=None, sort="-x", axis=EVERY_LABEL),
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
    cells: pl.DataFrame, *, limit: float, url: str | None = None, opacity: float = 0.6, side: int = 280
) -> alt.LayerChart:
    """Cells (row, column, value in nats) over the image: red raises the loss, blue lowers it, symmetric around 0."""
    rows, columns = int(cells["row"].max()) + 1, int(cells["column"].max()) + 1  # type: ignore[arg-type]
    spread = cells.with_columns(
        (pl.col("column") / columns).alias("left"),
        ((pl.col("column") + 1) / columns).alias("right"),
        (pl.col("row") / rows).alias("top"),
        ((pl.col("row") + 1) / rows).alias("bottom"),
    )
    color = alt.Color(
        "value:Q",
        title="nats",
        scale=alt.Scale(domain=[-limit, 0, limit], range=[LOWERS, NEUTRAL, RAISES], clamp=True, interpolate="lab"),
        legend=None,
    )
    place: dict[str, Any] = {"scale": alt.Scale(domain=[0, 1]), "axis": None}
    overlay = (
        alt.Chart(spread)
        .mark_rect(opacity=opacity if url else 1.0)
        .encode(
            x=alt.X("left:Q", **place),
            x2="right",
            y=alt.Y("top:Q", scale=alt.Scale(domain=[1, 0]), axis=None),
            y2="bottom",
            color=color,
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
            x=alt.X("left:Q", **place), y=alt.Y("top:Q", scale=alt.Scale(domain=[1, 0]), axis=None), url="url:N"
        )
        layers = [image, overlay]
    whole = {"left": 0, "top": 0, "right": 0, "bottom": 0}  # Streamlit would keep 20 px below and squeeze the cells
    return alt.layer(*layers).properties(width=side, height=side, padding=whole).configure_view(strokeWidth=0)


def confusion_matrix(frame: pl.DataFrame, classes: list[str], *, value: str) -> alt.LayerChart:
    """Label by prediction; `value` is n or share of the label; errors carry the colour, the diagonal is grey."""
    pick = alt.selection_point(name="cell", fields=["label", "predicted"], on="click", clear="dblclick")
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
    wrong = frame.filter(pl.col("label") != pl.col("predicted"))["share"].max() or 1.0
    right = alt.datum.label == alt.datum.predicted
    tiles = base.mark_rect(cornerRadius=3).encode(
        color=alt.condition(
            right,
            alt.value(CORRECT),
            alt.Color("share:Q", scale=alt.Scale(range=[FEW, MANY], domain=[0, wrong]), legend=None),
        )
    )
    text = base.mark_text(fontSize=12).encode(text=alt.Text(f"{value}:Q", format="," if value == "n" else ".0%"))
    return alt.layer(tiles.add_params(pick), text).properties(height=460)


def reliability(frame: pl.DataFrame) -> alt.LayerChart:
    """Share right against confidence with Wilson intervals (`low`, `high`); on the diagonal it is honest."""
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


def lines(frame: pl.DataFrame, *, x: str, y: str, x_title: str, y_title: str, height: int = 220) -> alt.Chart:
    """One line with its points."""
    return (
        alt.Chart(frame)
        .mark_line(color=GOOD, point=alt.OverlayMarkDef(color=GOOD, size=25))
        .encode(
            x=alt.X(x, title=x_title),
            y=alt.Y(y, title=y_title, scale=alt.Scale(zero=False)),
            tooltip=[alt.Tooltip(x, title=x_title), alt.Tooltip(y, title=y_title, format=".3f")],
        )
        .properties(height=height)
    )


def bars(frame: pl.DataFrame, *, x: str, y: str, x_title: str, colors: Colors | None = None) -> Any:
    """Horizontal bars, longest first."""
    mark = alt.Chart(frame).mark_bar(cornerRadiusEnd=3, color=GOOD)
    color = {"color": _nominal(frame, y, colors, legend=False)} if colors else {}
    chart: Any = mark.encode(
        x=alt.X(f"{x}:Q", title=x_title), y=alt.Y(f"{y}:N", sort="-x", title=None, axis=EVERY_LABEL), **color
    )
    return chart.properties(height=alt.Step(21))


def _place(axis: str) -> Any:
    channel = alt.X if axis == "x" else alt.Y
    return channel(f"{axis}:Q", axis=None, scale=alt.Scale(zero=False, padding=12))


def _color(points: pl.DataFrame, column: str, colors: Colors) -> alt.Color:
    dtype = points.schema[column]
    if column in ("loss", "expected_loss"):
        scale = alt.Scale(type="log", domain=LOSS_DOMAIN, clamp=True, scheme="viridis", reverse=True)
        return alt.Color(f"{column}:Q", scale=scale, title=f"{name(column)} (nats)")
    if dtype.is_float():
        return alt.Color(f"{column}:Q", scale=alt.Scale(scheme="viridis"), title=name(column))
    return _nominal(points, column, colors, legend=True)


def _nominal(points: pl.DataFrame, column: str, colors: Colors, *, legend: bool) -> alt.Color:
    values = [str(v).lower() if isinstance(v, bool) else str(v) for v in points[column].drop_nulls().unique().sort()]
    ordered = [c for c in colors[0] if c in values] if set(values) <= set(colors[0]) else values
    typed: list[Any] = points[column].drop_nulls().unique().sort().to_list() if ordered == values else list(ordered)
    scale = alt.Scale(domain=typed, range=value_colors(ordered, *colors))
    shown = alt.Legend(title=name(column), symbolLimit=60, orient="right") if legend else None
    return alt.Color(f"{column}:N", scale=scale, legend=shown)


def _size(column: str | None, *, few: bool) -> Any:
    if column is None:
        return alt.value(22)
    return alt.Size(
        f"{column}:Q", scale=alt.Scale(type="sqrt", range=[4, 150 if few else 60]), title=name(column), legend=None
    )


def _tooltip(points: pl.DataFrame, color: str) -> list[alt.Tooltip]:
    shown = ["image", "sample_id", "label", "predicted", "loss"]
    extra = [] if color in shown else [color]
    return [
        alt.Tooltip(
            c, title="image" if c == "image" else name(c), **({"format": ".3f"} if points.schema[c].is_float() else {})
        )
        for c in [*shown, *extra]
        if c in points.columns
    ]
