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
from lake.query import queries
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
"""Each is about 150 bytes of the file; of more samples the highest are dots over a picture of their density."""
MAP_WIDTH, MAP_HEIGHT = 720, 480
CELL, SMALLEST_MATRIX = 34, 272
MOST_CLASSES, AROUND = 30, 12
"""Of more classes a matrix is too large for a page, and for the file: how many of them are drawn instead."""
OWN_IMAGE = re.compile(r'"((?:thumbnails|pictures)/[^"]+\.png[^"]*)"')
NOT_IN_XML = re.compile(r"\\\\|\\(?:[bf]|u00(?:0[0-8bef]|1[0-9a-f]))|[\uFFFE\uFFFF]")
"""An escaped backslash in JSON, which stays, or a character that an SVG may not have: drawing it ends the process."""
STILL = {"left": 4, "top": 4, "right": 4, "bottom": 4}
PNG_SCALE = 2
NOBODY = pl.DataFrame(schema={"neighbor_id": pl.Int64})


def draw_map(run: Run, samples: pl.DataFrame, *, legend: bool = True) -> charts.Layered:
    """The population map, coloured by the first group, larger where the loss is higher."""
    state = MapState(color=first_group(run))
    scale = color_scale(samples[state.color], run.classes, run.groups)
    layers = lay_out(samples, Filters(), state, neighbors=NOBODY, folder="", picture_url="", most_dots=MOST_DOTS)
    if layers.dense:
        layers = _with_picture(layers, samples, state, scale)
    sizes = size_domain(samples[state.size])
    drawn = charts.population_map(layers, scale, sizes=sizes, folder="", start=state, height=MAP_HEIGHT, legend=legend)
    return drawn.properties(width=MAP_WIDTH)


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
    """How many of the samples are dots on the map."""
    return len(samples) if len(samples) <= MOST_DOTS else DOTS_OVER_DENSITY


CHARTS: dict[str, Callable[[Run, pl.DataFrame], charts.Layered]] = {"map": draw_map, "confusion": draw_matrix}


def render_chart(run: Run, name: str, *, png: bool) -> bytes:
    """The chart of that name as the bytes of a PNG or SVG file; raises `UserError` where the run has none."""
    if name == "map" and (said := missing.say(run, missing.MAP)):
        raise UserError(said)
    with reading(run.lake.root):
        chart = CHARTS[name](run, queries.scan_samples(run).collect())
    return to_png(chart) if png else to_svg(chart, name).encode()


def to_svg(chart: charts.Layered, name: str) -> str:
    """The chart as an SVG element whose text has the colour of what stands around it."""
    return _with_own_ids(render_svg(to_spec(chart, text="currentColor")), name)


def to_png(chart: charts.Layered) -> bytes:
    """The chart as a PNG file on white."""
    return bytes(vl_convert.vegalite_to_png(to_spec(chart, text="black", background="white"), scale=PNG_SCALE))


def to_spec(chart: alt.TopLevelMixin, *, text: str, background: str = "transparent") -> str:
    """The chart for paper as Vega-Lite in JSON, with all its data; � in place of control characters."""
    with alt.data_transformers.enable("default", max_rows=None):
        spec = str(_at_rest(chart, text=text, background=background).to_json(indent=None))
    return NOT_IN_XML.sub(lambda found: found[0] if found[0] == r"\\" else "\ufffd", spec)


def render_svg(spec: str, find_image: Callable[[str], bytes | None] | None = None) -> str:
    """Vega-Lite as an SVG; the images at addresses of our own server, from `find_image`, are inside it."""

    def inline(found: re.Match[str]) -> str:
        image = find_image(found[1]) if find_image else None
        return f'"{as_data(image)}"' if image else found[0]

    return str(vl_convert.vegalite_to_svg(OWN_IMAGE.sub(inline, spec)))


def as_data(png: bytes) -> str:
    """An address that is the image itself."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _with_own_ids(svg: str, name: str) -> str:
    """The SVG with ids that no other of the page has; vega counts them on over all that a process draws."""
    for i, found in enumerate(re.findall(r' id="(\w+)"', svg)):
        svg = svg.replace(f' id="{found}"', f' id="{name}-{i}"').replace(f"url(#{found})", f"url(#{name}-{i})")
    return svg


def _at_rest(chart: alt.TopLevelMixin, *, text: str, background: str = "transparent") -> Any:
    """The chart for paper: no descriptions of single marks, which a screen reader would read one by one."""
    words = {"labelColor": text, "titleColor": text}
    axis = {**words, "tickColor": text, "domain": False, "grid": False, "labelFontSize": 12, "titleFontSize": 12}
    return chart.configure(
        aria=False,
        axis=axis,
        background=background,
        font="system-ui, sans-serif",
        legend=words,
        padding=STILL,
        view={"stroke": None},
    )


def _with_picture(layers: Layers, samples: pl.DataFrame, state: MapState, scale: ColorScale) -> Layers:
    """The layers with the picture itself in place of its address."""
    png = draw(samples, Filters(), state, scale, most_dots=MOST_DOTS)
    return replace(layers, picture=layers.picture.with_columns(url=pl.lit(as_data(png))))
