"""How far a clustering can be believed: one line of figures, and what other numbers of groups would give."""

import polars as pl
import streamlit as st

from lake.contracts.clusters import SWEEP_MEASURES
from lake.storage.store import Run
from pages.charts import charts
from pages.text.groups import say_quality
from pages.text.words import GLOSSARY
from pages.ui.core import data
from pages.ui.core.chart_registry import show_chart

SWEEP_TITLES = {"sweep_silhouette": "Silhouette", "sweep_half_agreement": "Agreement of halves"}


def show_quality(run: Run, method: str) -> None:
    """Silhouette, agreement over halves, seeds and methods, and noise; the sweep over k behind a fold."""
    quality = data.table(run, "cluster_quality")
    said = list(say_quality(quality, method))
    if not said:
        st.caption("How stable these groups are was not measured in this run.")
        return
    st.caption(" · ".join(said), help=GLOSSARY["agreement"])
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
