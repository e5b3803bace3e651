"""The charts that a page has drawn, kept for download."""

from typing import Any

import streamlit as st

from pages.charts.charts import AnyChart

ChartsByKey = dict[str, AnyChart]


def start_page() -> ChartsByKey:
    """Return the registry, by key, of the charts that the current page will draw."""
    st.session_state["charts"] = {}
    return st.session_state["charts"]


def start_again() -> None:
    """Clear the registry; for a fragment that draws all charts of the page and is rerun alone."""
    st.session_state["charts"].clear()


def show_chart(chart: AnyChart, *, key: str, alt: str, **options: Any) -> Any:
    """Draw a chart with its text alternative and register it for download; returns the selection of the reader."""
    st.session_state["charts"][key] = chart
    return st.altair_chart(chart, key=key, alt=alt, **options)
