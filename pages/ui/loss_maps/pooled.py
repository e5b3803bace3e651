"""Mean loss maps of a group and of others: where the loss is raised, and examples."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import streamlit as st
from numpy.typing import NDArray

from lake.comparison.runs import SIGNIFICANT
from lake.contracts.rows import PooledMapRow
from lake.query.aggregates import or_zero
from lake.query.filters import Filters
from lake.query.loss_maps import FLOOR_NATS, MAPPED, Maps, border_of
from lake.statistics import Ratio
from lake.storage.store import Run
from lake.text.formatting import p_value
from pages.charts import charts
from pages.text.formatting import NO_BREAK, percent, plain
from pages.text.glossary import GLOSSARY
from pages.ui.core import data
from pages.ui.core.chart_registry import show_chart
from pages.ui.loss_maps.panel import show_color_bar
from pages.ui.samples.gallery import show_gallery

SIDE, EXAMPLES = 300, 8


@dataclass(frozen=True)
class Comparison:
    """Samples whose maps are pooled, and others to compare them with."""

    name: str
    inside: NDArray[np.int64]
    others: str
    outside: NDArray[np.int64]
    adjusted_p: float | None = None
    """Adjusted for all comparisons of the table; None if this is the only one."""


def groups(run: Run, layer: str) -> pl.DataFrame:
    """Return the groups of the run whose maps were pooled, most maps first."""
    return data.table(run, "pooled_maps").filter(layer=layer).sort("n", "name", descending=[True, False])


def of_group(run: Run, row: PooledMapRow) -> Comparison:
    """Return a row of `pooled_maps` as a comparison of the group with the others."""
    inside, population = (_ids(run, Filters.from_text(text)) for text in (row["filter"], row["others_filter"]))
    return Comparison(row["name"], inside, row["others"], np.setdiff1d(population, inside), row["adjusted_p"])


def show_pooled(run: Run, comparison: Comparison, layer: str, *, key: str) -> None:
    """Show the sentence, both mean maps, and examples."""
    all_maps = data.maps(run, layer)
    group_maps, other_maps = all_maps.of_samples(comparison.inside), all_maps.of_samples(comparison.outside)
    if min(len(group_maps), len(other_maps)) < 2:
        st.info("There are too few loss maps on one of the two sides: loosen the filters, or choose another group.")
        return
    st.markdown(sentence(comparison, group_maps, other_maps), help=GLOSSARY["border"])
    limit = max(or_zero(m.mean()["value"].abs().max()) for m in (group_maps, other_maps)) or FLOOR_NATS
    with st.container(horizontal=True, gap="large"):
        for name, maps in ((comparison.name, group_maps), (comparison.others, other_maps)):
            with st.container(width=SIDE):
                st.markdown(f"**{plain(name[:1].upper() + name[1:])}**: mean of {len(maps):,} maps")
                show_chart(
                    charts.signed_map(maps.mean(), limit=limit, side=SIDE),
                    width="content",
                    key=f"pooled-{key}-{name}",
                    alt=f"Mean loss map: {name}",
                )
                show_color_bar(limit, width=SIDE)
    _show_examples(run, group_maps, key=key)


def sentence(comparison: Comparison, group_maps: Maps, other_maps: Maps) -> str:
    """Describe how much of what raises the loss is on the border, compared with the others."""
    share, other = group_maps.border_share(), other_maps.border_share()
    name = plain(comparison.name)
    if not np.isfinite([share.value, other.value]).all():
        return f"Nothing raises the loss of {name} or of {plain(comparison.others)}: there is nothing to compare."
    area = percent(float(border_of(*group_maps.values_NHW.shape[1:]).mean()))
    summary = (
        f"{_share(share)} of what raises the loss of **{name}** (n {share.n:,}) lies on the border, "
        f"which is {area} of the area; of {plain(comparison.others)} {_share(other)} (n {other.n:,})"
    )
    p, adjusted = share.differs_p(other), ""
    if comparison.adjusted_p is not None:
        p, adjusted = comparison.adjusted_p, "adjusted "
    if p >= SIGNIFICANT:
        return f"{summary}: no difference that chance would not make ({adjusted}{p_value(p)})."
    return f"{summary}: {'more' if share.value > other.value else 'less'} than there ({adjusted}{p_value(p)})."


def _share(ratio: Ratio) -> str:
    low, high = ratio.interval
    return f"**{ratio.value * 100:.0f}{NO_BREAK}%** ({low * 100:.0f} to {high * 100:.0f})"


def _show_examples(run: Run, maps: Maps, *, key: str) -> None:
    """Show the samples of the group with the largest and the smallest share on the border."""
    loud = maps.max_abs >= FLOOR_NATS
    share = maps.raising_on_border[loud] / maps.raising[loud].clip(1e-12)
    order = maps.sample_id[loud][np.argsort(-share, kind="stable")]
    samples = data.samples(run).collect()
    sides = {"Most of it on the border": order[:EXAMPLES], "Most of it in the centre": order[::-1][:EXAMPLES]}
    for column, (title, ids) in zip(st.columns(2, gap="large"), sides.items(), strict=True):
        with column:
            st.caption(title)
            rows = pl.DataFrame({"sample_id": ids}).join(samples, on="sample_id", maintain_order="left")
            show_gallery(run, rows, key=f"examples-{key}-{title}")


def _ids(run: Run, filters: Filters) -> NDArray[np.int64]:
    return filters.apply(data.samples(run)).filter(MAPPED).select("sample_id").collect()["sample_id"].to_numpy()
