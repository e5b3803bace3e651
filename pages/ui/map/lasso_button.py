"""A button beside the map that lets a reader draw a lasso over it."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pages.charts.charts import MAP_HEIGHT, MAP_PADDING
from pages.charts.lasso import MAX_CORNERS
from pages.charts.raster import Extent

FOLDER = Path(__file__).parent
HTML = (
    '<button type="button" aria-pressed="false">Lasso</button> '
    '<button type="button" hidden>Clear</button>'
    '<div class="sheet" hidden><svg><polygon></polygon></svg></div>'
)


def show_lasso(extent: Extent, *, chart: str, drawn: bool, key: str, on_change: Callable[[], None]) -> None:
    """Show the button, and another that removes the lasso if one is `drawn`.

    `chart` is the key of the map and `extent` its current extent. `on_change` reads the corners from the session's
    `[key]["shape"]`, text as in the URL, empty if the lasso was removed.
    """
    component = st.components.v2.component(
        "latentlake_lasso",
        html=HTML,
        css=(FOLDER / "lasso.css").read_text(encoding="utf-8"),
        js=(FOLDER / "lasso.js").read_text(encoding="utf-8"),
    )
    projection = {"chart": chart, "extent": extent, "height": MAP_HEIGHT, "padding": MAP_PADDING}
    component(data=projection | {"drawn": drawn, "most": MAX_CORNERS}, key=key, on_shape_change=on_change)
