"""Families of loss maps: patterns of what the model looks at, with their error rates."""

import polars as pl
import streamlit as st

from lake.query import queries
from lake.query.aggregates import or_zero
from lake.query.filters import Filters
from lake.storage.store import Run
from pages.charts import charts
from pages.text.formatting import share_with_interval
from pages.ui.core import data
from pages.ui.core.chart_registry import show_chart
from pages.ui.samples.gallery import show_gallery
from pages.ui.session.navigation import address, page

IN_A_ROW, SIDE, EXAMPLES = 4, 150, 16


def show_families(run: Run) -> None:
    """Show every family by its mean map, highest error rate first, and the samples of one."""
    members = data.table(run, "map_families")
    if members.is_empty():
        st.info("This run has too few loss maps with something to explain to sort them into families.")
        return
    families = queries.accuracy(data.samples(run).join(members.lazy(), on="sample_id"), by="family").collect()
    wrong, n = int((families["n"] - families["hits"]).sum()), int(families["n"].sum())
    st.markdown(
        f"Maps that look alike, whatever their size: {families.height} families of the {n:,} held-out samples with "
        f"something to explain, **{share_with_interval(wrong, n)}** of which are errors."
    )
    all_maps = data.maps(run, data.map_layers(run)[0])
    rows = families.sort("family").rows(named=True)
    for start in range(0, len(rows), IN_A_ROW):
        for column, row in zip(st.columns(IN_A_ROW), rows[start : start + IN_A_ROW], strict=False):
            ids = members.filter(family=row["family"])["sample_id"].to_numpy()
            cells = all_maps.of_samples(ids).mean()
            limit = or_zero(cells["value"].abs().max()) or 1.0
            with column:
                st.markdown(f"**Family {row['family']}** · {row['n']:,} maps")
                show_chart(
                    charts.signed_map(cells, limit=limit, side=SIDE),
                    width="content",
                    key=f"family-{row['family']}",
                    alt=f"Mean map of family {row['family']}",
                )
                st.caption(f"errors {share_with_interval(row['n'] - row['hits'], row['n'])}")
    st.caption("Each map has its own scale: red raises the loss, blue lowers it.")
    _show_family(run, members, [row["family"] for row in rows])


def _show_family(run: Run, members: pl.DataFrame, families: list[int]) -> None:
    family = st.segmented_control(
        "Open a family", families, default=families[0], required=True, key="family", bind="query-params"
    )
    family = families[0] if family is None else family  # None if the URL has an empty value
    nearest = members.filter(family=family).sort("similarity", descending=True).head(EXAMPLES).select("sample_id")
    samples = nearest.join(data.samples_of(run, nearest["sample_id"]), on="sample_id", maintain_order="left")
    st.caption(f"Samples whose maps are most like the mean of family {family}")
    show_gallery(run, samples, key="family-gallery")
    text = Filters.of(map_family=str(family)).to_text()
    st.page_link(page("samples"), label="As a table", query_params={**address(), "f": text})
