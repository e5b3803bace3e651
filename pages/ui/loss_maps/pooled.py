"""The loss maps of a group as one, beside those of others: where what raises the loss lies, and examples of both."""

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
from pages.text.words import GLOSSARY, NO_BREAK, percent, plain
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
    """After correction for everything that was compared; None where this was the only question."""


def groups(run: Run, layer: str) -> pl.DataFrame:
    """The groups of the run whose maps were pooled, most maps first."""
    return data.table(run, "pooled_maps").filter(layer=layer).sort("n", "name", descending=[True, False])


def of_group(run: Run, row: PooledMapRow) -> Comparison:
    """A group of `pooled_maps` against the rest of what it is a part of."""
    inside, wider = (_ids(run, Filters.from_text(text)) for text in (row["filter"], row["others_filter"]))
    return Comparison(row["name"], inside, row["others"], np.setdiff1d(wider, inside), row["adjusted_p"])


def show_pooled(run: Run, compared: Comparison, layer: str, *, key: str) -> None:
    """The sentence, both mean maps, and samples that are examples for it and against it."""
    everything = data.maps(run, layer)
    here, there = everything.of_samples(compared.inside), everything.of_samples(compared.outside)
    if min(len(here), len(there)) < 2:
        st.info("There are too few loss maps on one of the two sides: loosen the filters, or choose another group.")
        return
    st.markdown(sentence(compared, here, there), help=GLOSSARY["border"])
    limit = max(or_zero(m.mean()["value"].abs().max()) for m in (here, there)) or FLOOR_NATS
    with st.container(horizontal=True, gap="large"):
        for name, maps in ((compared.name, here), (compared.others, there)):
            with st.container(width=SIDE):
                st.markdown(f"**{plain(name[:1].upper() + name[1:])}**: mean of {len(maps):,} maps")
                show_chart(
                    charts.signed_map(maps.mean(), limit=limit, side=SIDE),
                    width="content",
                    key=f"pooled-{key}-{name}",
                    alt=f"Mean loss map: {name}",
                )
                show_color_bar(limit, width=SIDE)
    _show_examples(run, here, key=key)


def sentence(compared: Comparison, here: Maps, there: Maps) -> str:
    """Where what raises the loss of the group lies, against the others, with intervals and a test."""
    share, other = here.border_share(), there.border_share()
    name = plain(compared.name)
    if not np.isfinite([share.value, other.value]).all():
        return f"Nothing raises the loss of {name} or of {plain(compared.others)}: there is nothing to compare."
    area = percent(float(border_of(*here.values_NHW.shape[1:]).mean()))
    said = (
        f"{_share(share)} of what raises the loss of **{name}** (n {share.n:,}) lies on the border, "
        f"which is {area} of the area; of {plain(compared.others)} {_share(other)} (n {other.n:,})"
    )
    p, adjusted = share.differs_p(other), ""
    if compared.adjusted_p is not None:
        p, adjusted = compared.adjusted_p, "adjusted "
    if p >= SIGNIFICANT:
        return f"{said}: no difference that chance would not make ({adjusted}{p_value(p)})."
    return f"{said}: {'more' if share.value > other.value else 'less'} than there ({adjusted}{p_value(p)})."


def _share(ratio: Ratio) -> str:
    low, high = ratio.interval
    return f"**{ratio.value * 100:.0f}{NO_BREAK}%** ({low * 100:.0f} to {high * 100:.0f})"


def _show_examples(run: Run, maps: Maps, *, key: str) -> None:
    """Samples of the group whose own share is the largest, and the smallest, of those with something to explain."""
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
