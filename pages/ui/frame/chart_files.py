"""Download of the charts of a page as SVG files with embedded images."""

import io
import re
import zipfile

import altair as alt
import streamlit as st

from pages.charts.charts import AnyChart
from pages.report import pictures
from pages.ui.core.chart_registry import ChartsByKey
from pages.ui.internals.streamlit_internals import altair_settings
from pages.ui.server.routes import read_image

WIDTH = 640
"""Width in pixels of a chart that otherwise fills its container."""
LONGEST_NAME = 60
NOT_IN_NAMES = re.compile(r"[^\w.-]+")


def show_download(page_charts: ChartsByKey, page_name: str) -> None:
    """Show the download button for the charts of a page, if it has any; the file is written on demand."""
    if page_charts:
        st.download_button(
            "Charts of this page (SVG)",
            lambda: to_zip(page_charts),
            f"{page_name}-charts.zip",
            "application/zip",
            key="charts-svg",
            icon=":material/download:",
            on_click="ignore",
            width="stretch",
        )


def to_zip(page_charts: ChartsByKey) -> bytes:
    """Return a ZIP file with one SVG file per chart, named by its key."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as folder:
        for number, (key, chart) in enumerate(page_charts.items(), 1):
            with altair_settings:  # Streamlit changes them for all threads while it draws a chart
                spec = pictures.to_spec(_with_width(chart), text="black", background="white")
            folder.writestr(f"{_file_name(key, number)}.svg", pictures.render_svg(spec, read_image))
    return file.getvalue()


def _file_name(key: str, number: int) -> str:
    """Return a valid file name for a key; long ones are cut and numbered."""
    name = NOT_IN_NAMES.sub("-", key)
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}-{number}"


def _with_width(chart: AnyChart) -> AnyChart:
    return chart.properties(width=WIDTH) if chart.width is alt.Undefined else chart
