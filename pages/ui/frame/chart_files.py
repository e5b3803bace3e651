"""The charts that a page has drawn, to take away as SVG files with their images inside."""

import io
import re
import zipfile

import altair as alt
import streamlit as st

from pages.charts.charts import AnyChart
from pages.report import pictures
from pages.ui.core.chart_registry import Drawn
from pages.ui.internals.streamlit_internals import altair_settings
from pages.ui.server.routes import read_image

WIDTH = 640
"""Of a chart that is as wide as its place on the page, in pixels."""
LONGEST_NAME = 60
NOT_IN_NAMES = re.compile(r"[^\w.-]+")


def show_download(drawn: Drawn, page_name: str) -> None:
    """The button that hands out the charts of a page, where it has any; they are written when somebody asks."""
    if drawn:
        st.download_button(
            "Charts of this page (SVG)",
            lambda: to_zip(drawn),
            f"{page_name}-charts.zip",
            "application/zip",
            key="charts-svg",
            icon=":material/download:",
            on_click="ignore",
            width="stretch",
        )


def to_zip(drawn: Drawn) -> bytes:
    """A ZIP file with an SVG file a chart, named by its key."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as folder:
        for number, (key, chart) in enumerate(drawn.items(), 1):
            with altair_settings:  # Streamlit changes them for all threads while it draws a chart
                spec = pictures.to_spec(_with_width(chart), text="black", background="white")
            folder.writestr(f"{_file_name(key, number)}.svg", pictures.render_svg(spec, read_image))
    return file.getvalue()


def _file_name(key: str, number: int) -> str:
    """The key without what no file may be called; a long one, that of a class, is cut and numbered."""
    name = NOT_IN_NAMES.sub("-", key)
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}-{number}"


def _with_width(chart: AnyChart) -> AnyChart:
    return chart.properties(width=WIDTH) if chart.width is alt.Undefined else chart
