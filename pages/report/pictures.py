"""Charts of the report as SVG or PNG, with images inside; the same altair charts as on the pages."""

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import altair as alt
import polars as pl
import vl_convert

from lake.errors import UserError
from lake.query import joined_samples, queries
from lake.query.confusions import among, confused_with
from lake.query.filters import Filters
from lake.query.queries import rank_confusions
from lake.storage.damage import reading
from lake.storage.store import Run
from pages.charts import charts
from pages.charts.projection_layers import DOTS_OVER_DENSITY, Layers, draw, lay_out
from pages.charts.projection_state import MapState
from pages.charts.scales import ColorScale, color_scale, size_domain
from pages.text import missing
from pages.text.separation import first_group

MOST_DOTS = 3000
"""Each dot takes about 150 bytes; of more samples only the highest are dots, over a picture of the density."""
MAP_WIDTH, MAP_HEIGHT = 720, 480
CELL, SMALLEST_MATRIX = 34, 272
MOST_CLASSES, AROUND = 30, 12
"""Maximum number of classes of a full matrix, and number of classes drawn if there are more."""
OWN_IMAGE = re.compile(r'"((?:thumbnails|pictures)/[^"]+\.png[^"]*)"')
NOT_IN_XML = re.compile(r"\\\\|\\(?:[bf]|u00(?:0[0-8bef]|1[0-9a-f]))|[\uFFFE\uFFFF]")
"""An escaped backslash in JSON, which stays, or a character that an SVG may not have: drawing it ends the process."""
PADDING = {"left": 4, "top": 4, "right": 4, "bottom": 4}
PNG_SCALE = 2
NO_NEIGHBORS = pl.DataFrame(schema={"neighbor_id": pl.Int64})


def draw_map(run: Run, samples: pl.DataFrame, *, legend: bool = True) -> charts.Layered:
    """Draw the population map, coloured by the first grouping, with dots sized by loss."""
    state = MapState(color=first_group(run))
    scale = color_scale(samples[state.color], run.classes, run.groups)
    layers = lay_out(samples, Filters(), state, neighbors=NO_NEIGHBORS, folder="", picture_url="", most_dots=MOST_DOTS)
    if layers.dense:
        layers = _with_picture(layers, samples, state, scale)
    sizes = size_domain(samples[state.size])
    chart = charts.population_map(layers, scale, sizes=sizes, folder="", start=state, height=MAP_HEIGHT, legend=legend)
    return chart.properties(width=MAP_WIDTH)


def draw_matrix(run: Run, samples: pl.DataFrame) -> charts.Layered:
    """The confusion matrix of the held-out samples, as shares of the label; of many classes around the worst pair."""
    cells, classes = queries.confusion(samples.lazy().filter(queries.HELD_OUT)).collect(), run.classes
    if len(classes) > MOST_CLASSES:
        ranked = rank_confusions(cells)
        classes = confused_with(cells, ranked["label"][0] if len(ranked) else classes[0], AROUND)
        cells = among(cells, classes)
    side = max(SMALLEST_MATRIX, CELL * len(classes))
    return charts.confusion_matrix(cells, classes, value="share").properties(width=side, height=side)


def count_dots(samples: pl.DataFrame) -> int:
    """Return how many of the samples are dots on the map."""
    return len(samples) if len(samples) <= MOST_DOTS else DOTS_OVER_DENSITY


CHARTS: dict[str, Callable[[Run, pl.DataFrame], charts.Layered]] = {"map": draw_map, "confusion": draw_matrix}


def render_chart(run: Run, name: str, *, png: bool) -> bytes:
    """Render the chart of a name as a PNG or SVG file; raises `UserError` if the run has none."""
    if name == "map" and (reason := missing.say(run, missing.MAP)):
        raise UserError(reason)
    if name == "confusion" and not missing.is_classified(run):
        raise UserError(f"This run has no confusion matrix: {missing.UNCLASSIFIED}.")
    with reading(run.lake.root):
        chart = CHARTS[name](run, joined_samples.scan_samples(run).collect())
    return to_png(chart) if png else to_svg(chart, name).encode()


def to_svg(chart: charts.Layered, name: str) -> str:
    """Render the chart as an SVG element whose text has the colour of its surroundings."""
    return _with_own_ids(render_svg(to_spec(chart, text="currentColor")), name)


def to_png(chart: charts.Layered) -> bytes:
    """Render the chart as a PNG file on white."""
    return bytes(vl_convert.vegalite_to_png(to_spec(chart, text="black", background="white"), scale=PNG_SCALE))


def to_spec(chart: alt.TopLevelMixin, *, text: str, background: str = "transparent") -> str:
    """The chart for paper as Vega-Lite in JSON, with all its data; � in place of control characters."""
    with alt.data_transformers.enable("default", max_rows=None):
        spec = str(_for_paper(chart, text=text, background=background).to_json(indent=None))
    return NOT_IN_XML.sub(lambda match: match[0] if match[0] == r"\\" else "\ufffd", spec)


def render_svg(spec: str, find_image: Callable[[str], bytes | None] | None = None) -> str:
    """Render Vega-Lite as SVG; images of this server, from `find_image`, are embedded."""

    def inline(match: re.Match[str]) -> str:
        image = find_image(match[1]) if find_image else None
        return f'"{as_data(image)}"' if image else match[0]

    return str(vl_convert.vegalite_to_svg(OWN_IMAGE.sub(inline, spec)))


def as_data(png: bytes) -> str:
    """Return the image as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _with_own_ids(svg: str, name: str) -> str:
    """Return the SVG with ids that are unique on the page; vega numbers them over everything that a process draws."""
    for i, svg_id in enumerate(re.findall(r' id="(\w+)"', svg)):
        svg = svg.replace(f' id="{svg_id}"', f' id="{name}-{i}"').replace(f"url(#{svg_id})", f"url(#{name}-{i})")
    return svg


def _for_paper(chart: alt.TopLevelMixin, *, text: str, background: str = "transparent") -> Any:
    """Return the chart for print, without descriptions of single marks, which a screen reader would read one by one."""
    text_colors = {"labelColor": text, "titleColor": text}
    axis = {**text_colors, "tickColor": text, "domain": False, "grid": False, "labelFontSize": 12, "titleFontSize": 12}
    return chart.configure(
        aria=False,
        axis=axis,
        background=background,
        font="system-ui, sans-serif",
        legend=text_colors,
        padding=PADDING,
        view={"stroke": None},
    )


def _with_picture(layers: Layers, samples: pl.DataFrame, state: MapState, scale: ColorScale) -> Layers:
    """Return the layers with the picture as a data URL."""
    png = draw(samples, Filters(), state, scale, most_dots=MOST_DOTS)
    return replace(layers, picture=layers.picture.with_columns(url=pl.lit(as_data(png))))
