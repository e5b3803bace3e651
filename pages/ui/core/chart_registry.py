"""The charts that a page has drawn, kept for who wants them as files."""

from typing import Any

import streamlit as st

from pages.charts.charts import AnyChart

Drawn = dict[str, AnyChart]


def start_page() -> Drawn:
    """Where the charts of the page that is drawn now will be, by key."""
    st.session_state["charts"] = {}
    return st.session_state["charts"]


def start_again() -> None:
    """Forget the charts of the page, where a fragment that draws all of them runs again by itself."""
    st.session_state["charts"].clear()


def show_chart(chart: AnyChart, *, key: str, alt: str, **options: Any) -> Any:
    """Draw a chart with its text alternative, and keep it for who wants the file; returns what a reader selected."""
    st.session_state["charts"][key] = chart
    return st.altair_chart(chart, key=key, alt=alt, **options)
