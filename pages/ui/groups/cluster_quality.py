"""How far a clustering can be believed: one line of figures, and what other numbers of groups would give."""

import polars as pl
import streamlit as st

from lake.contracts.clusters import SWEEP_MEASURES
from lake.storage.store import Run
from pages.charts import charts
from pages.text.words import GLOSSARY, percent
from pages.ui.core import data
from pages.ui.core.chart_registry import show_chart

METHOD_NAMES = {"kmeans": "k-means", "bisecting": "Bisecting k-means", "hdbscan": "HDBSCAN"}
MEASURE_WORDS = {
    "silhouette": "silhouette",
    "half_agreement": "halves of the samples agree",
    "seed_agreement": "another seed",
}
SWEEP_TITLES = {"sweep_silhouette": "Silhouette", "sweep_half_agreement": "Agreement of halves"}
STABLE, DOUBTFUL = 0.75, 0.6


def show_quality(run: Run, method: str) -> None:
    """Silhouette, agreement over halves, seeds and methods, and noise; the sweep over k behind a fold."""
    quality = data.table(run, "cluster_quality")
    values = {(r["measure"], r["of"]): r["value"] for r in quality.filter(method=method).iter_rows(named=True)}
    if not values:
        st.caption("How stable these groups are was not measured in this run.")
        return
    agreed = quality.filter(pl.col("measure") == "agreement", (pl.col("method") == method) | (pl.col("of") == method))
    others = [
        f"with {METHOD_NAMES[r['of'] if r['method'] == method else r['method']]} {r['value']:.2f}"
        for r in agreed.iter_rows(named=True)
    ]
    said = [
        *(f"{words} {values[name, '']:.2f}" for name, words in MEASURE_WORDS.items() if (name, "") in values),
        *([f"agrees {', '.join(others)}"] if others else []),
        f"unclustered {percent(values['noise', ''])}",
    ]
    st.caption(" · ".join(said), help=GLOSSARY["agreement"])
    _show_sweep(quality.filter(pl.col("method") == method, pl.col("measure").is_in(SWEEP_MEASURES)))


def stability_in_words(value: float | None) -> str:
    """ "stable .91": how well halves of the samples find a group again."""
    if value is None:
        return "not measured"
    word = "stable" if value >= STABLE else "fair" if value >= DOUBTFUL else "doubtful"
    return f"{word} {value:.2f}"


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
