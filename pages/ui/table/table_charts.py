"""Charts of the sample table."""

from functools import cache
from typing import Any

import altair as alt
import polars as pl

from lake.query.aggregates import or_zero
from pages.charts.charts import EVERY_LABEL, Layered
from pages.charts.palette import CONTEXT, GOOD, TEXT

BINS = "bins"
HEIGHT = 100
"""Height of a histogram with title and axis in pixels; the bars take 60."""
TITLE: dict[str, Any] = {
    "anchor": "start",
    "frame": "bounds",
    "fontSize": 12,
    "fontWeight": "normal",
    "offset": 4,
    "limit": 124,
}
TIGHT = {"left": 2, "top": 0, "right": 2, "bottom": 0}
TOO_FEW, LEAST, MOST = "#dfe2e6", "#fdebe4", "#f46036"  # opaque: the numbers on them are black in dark mode too


def histogram(bins: pl.DataFrame, title: str, *, whole: bool = False) -> dict[str, Any]:
    """Return Vega-Lite: bars of rows that pass (n) over all in grey (n_all), with heights by the root of the count.

    A drag chooses a range. The numbers of a `whole` column are shown as integers.
    """
    return {**_histogram("d" if whole else ".3~g"), "title": {"text": title, **TITLE}, "datasets": {BINS: bins}}


@cache
def _histogram(numbers: str) -> dict[str, Any]:
    """Return the chart without data and title, cached: altair takes 30 ms to build one and a page has a dozen.

    `numbers` is the format of the values of the column.
    """
    inside = alt.ExprRef("datum.index ? 'right' : 'left'")  # keeps the labels of both ends inside the chart
    ends = alt.ExprRef("domain('x')")
    axis = alt.Axis(
        values=ends, format=numbers, labelAlign=inside, labelOverlap=False, title=None, grid=False, ticks=False
    )
    base = alt.Chart(alt.NamedData(BINS)).encode(
        x=alt.X("low:Q", scale=alt.Scale(zero=False, nice=False, padding=0), axis=axis),
        x2="high",
        tooltip=[
            alt.Tooltip("low:Q", title="From", format=numbers),
            alt.Tooltip("high:Q", title="To", format=numbers),
            alt.Tooltip("n:Q", title="Pass the filters", format=","),
            alt.Tooltip("n_all:Q", title="Of all", format=","),
        ],
    )
    root = alt.Scale(type="sqrt", nice=False)
    grey, blue = (
        base.mark_bar(orient="vertical", **look) for look in ({"color": CONTEXT, "opacity": 0.4}, {"color": GOOD})
    )
    all_samples = grey.encode(y=alt.Y("n_all:Q", scale=root, axis=None))
    passing = blue.encode(y=alt.Y("n:Q", scale=root, axis=None))
    drag = alt.selection_interval(name="range", encodings=["x"], zoom=False)
    chart = alt.layer(all_samples, passing.add_params(drag)).properties(height=HEIGHT, padding=TIGHT)
    spec: dict[str, Any] = chart.configure_view(strokeWidth=0).to_dict()
    return spec


def pivot_cells(cells: pl.DataFrame, *, down: str, across: str) -> Layered:
    """Draw the mean loss by positions on two axes, in the order of the frame; cells with too `few` samples in grey."""
    titles = {"down": down, "across": across}
    order = {name: cells.sort(f"{name}_place")[name].unique(maintain_order=True).to_list() for name in titles}
    base = alt.Chart(cells).encode(
        x=alt.X(
            "across:N",
            sort=order["across"],
            title=across,
            axis=alt.Axis(orient="top", labelAngle=-40, labelOverlap=False, labelLimit=160),
        ),
        y=alt.Y("down:N", sort=order["down"], title=down, axis=EVERY_LABEL),
        tooltip=[
            *(alt.Tooltip(f"{name}:N", title=title) for name, title in titles.items()),
            alt.Tooltip("mean_loss:Q", title="Mean loss (nats)", format=".3~g"),
            alt.Tooltip("interval:N", title="95 % interval"),
            alt.Tooltip("n:Q", title="Samples", format=","),
        ],
    )
    enough = cells.filter(~pl.col("few"))["mean_loss"]
    domain = [or_zero(enough.min()), or_zero(enough.max()) or 1.0]
    scale = alt.Scale(range=[LEAST, MOST], domain=domain, interpolate="rgb")
    color = alt.condition(alt.datum.few, alt.value(TOO_FEW), alt.Color("mean_loss:Q", scale=scale, legend=None))
    pick = alt.selection_point(name="cell", fields=["cell"], on="click", clear="dblclick")
    tiles = base.mark_rect(cornerRadius=3).encode(color=color).add_params(pick)
    numbers = base.mark_text(fontSize=12).encode(
        text=alt.Text("mean_loss:Q", format=".2f"),
        color=alt.condition(alt.datum.few, alt.value(TEXT), alt.value("black")),
    )
    return alt.layer(tiles, numbers).properties(height=alt.Step(30))
