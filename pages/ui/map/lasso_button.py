"""A button beside the map that lets a reader draw a lasso over it."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pages.charts.charts import MAP_HEIGHT, MAP_PADDING
from pages.charts.lasso import MAX_CORNERS
from pages.charts.raster import Extent

HERE = Path(__file__).parent
HTML = (
    '<button type="button" aria-pressed="false">Lasso</button> '
    '<button type="button" hidden>Clear</button>'
    '<div class="sheet" hidden><svg><polygon></polygon></svg></div>'
)


def show_lasso(extent: Extent, *, chart: str, drawn: bool, key: str, on_change: Callable[[], None]) -> None:
    """The button, and another that takes away the lasso that is `drawn`.

    `chart` is the key of the map and `extent` what it shows now. `on_change` finds the corners in the session's
    `[key]["shape"]`, a text as in the address, empty where the lasso is taken away.
    """
    component = st.components.v2.component(
        "latentlake_lasso",
        html=HTML,
        css=(HERE / "lasso.css").read_text(encoding="utf-8"),
        js=(HERE / "lasso.js").read_text(encoding="utf-8"),
    )
    map_ = {"chart": chart, "extent": extent, "height": MAP_HEIGHT, "padding": MAP_PADDING}
    component(data=map_ | {"drawn": drawn, "most": MAX_CORNERS}, key=key, on_shape_change=on_change)
