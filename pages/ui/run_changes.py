"""What changed since the run before: which samples are right now that were wrong, and which findings came and went."""

import polars as pl
import streamlit as st

from lake import queries
from lake.statistics import mcnemar_p
from lake.store import Run
from pages.ui import data
from pages.ui.gallery import show_paged_gallery
from pages.ui.words import p_value, plain


def show_changes(run: Run) -> None:
    """Counts with their test, the samples behind them, and the findings of one run only."""
    st.subheader("What changed since the last run")
    before = data.previous_run(run)
    if before is None:
        st.caption("This is the first run of this data.")
        return
    both = queries.changes(data.samples(run), data.samples(before)).collect()
    fixed, broken = (both.filter(change=name) for name in ("fixed", "broken"))
    if both.is_empty():
        st.caption(f"Run {before.run_id} shares no labelled held-out sample with this one.")
        return
    p = mcnemar_p(len(fixed), len(broken))
    verdict = "more than chance" if p < 0.05 else "no more than chance"  # the same words for better and worse
    st.markdown(
        f"Of {len(both):,} held-out samples in both runs **{len(fixed):,} were fixed** and **{len(broken):,} newly "
        f"broken** since {before.run_id}: {verdict} (McNemar's exact test, {p_value(p)})."
    )
    _show_findings(data.table(run, "findings"), data.table(before, "findings"))
    for name, part in {"fixed": fixed, "newly broken": broken}.items():
        with st.expander(f"{len(part):,} {name}", on_change="rerun") as expander:
            if expander.open:
                members = data.samples(run).join(part.select("sample_id").lazy(), on="sample_id")
                show_paged_gallery(run, members.sort("loss", descending=True).collect(), key=f"changed-{name}")


def _show_findings(now: pl.DataFrame, then: pl.DataFrame) -> None:
    """Groups without a cluster in their filter, whose numbers mean something else in every run."""
    named = [
        frame.filter("confirmed", ~pl.col("filter").str.contains("cluster_")).select("filter", "name")
        for frame in (now, then)
    ]
    came = named[0].join(named[1], on="filter", how="anti")["name"].to_list()
    went = named[1].join(named[0], on="filter", how="anti")["name"].to_list()
    for words, names in {"New findings": came, "No longer found": went}.items():
        if names:
            st.caption(f"{words}: {plain('; '.join(names))}.")
    if not came and not went:
        st.caption("The same classes, confusions and slices are findings as before.")
