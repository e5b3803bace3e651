"""Quality of a clustering: one line of figures, and a sweep over the number of groups."""

import polars as pl
import streamlit as st

from lake.contracts.clusters import SWEEP_MEASURES
from lake.storage.store import Run
from pages.charts import charts
from pages.text.glossary import GLOSSARY
from pages.text.groups import say_quality
from pages.ui.core import data
from pages.ui.core.chart_registry import show_chart

SWEEP_TITLES = {"sweep_silhouette": "Silhouette", "sweep_half_agreement": "Agreement of halves"}


def show_quality(run: Run, method: str) -> None:
    """Show silhouette, agreement over halves, seeds and methods, and noise, with the sweep over k in an expander."""
    quality = data.table(run, "cluster_quality")
    figures = list(say_quality(quality, method))
    if not figures:
        st.caption("How stable these groups are was not measured in this run.")
        return
    st.caption(" · ".join(figures), help=GLOSSARY["agreement"])
    _show_sweep(quality.filter(pl.col("method") == method, pl.col("measure").is_in(SWEEP_MEASURES)))


def _show_sweep(sweep: pl.DataFrame) -> None:
    if sweep.is_empty():
        return
    with st.expander("How many groups? Other numbers, on a part of the samples"):
        for column, (measure, title) in zip(st.columns(2, gap="large"), SWEEP_TITLES.items(), strict=True):
            part = sweep.filter(measure=measure).sort("clusters")
            with column:
                show_chart(
                    charts.lines(part, x="clusters:Q", y="value:Q", x_title="Groups", y_title=title),
                    key=measure,
                    alt=f"{title} by number of groups",
                )
