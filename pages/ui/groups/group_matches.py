"""Groups of two runs that are the same, split, merged, born or died."""

from typing import TypedDict

import polars as pl
import streamlit as st

from lake.comparison import cluster_matches
from lake.query.filters import Filters
from lake.query.joined_samples import cluster_column
from lake.storage.store import Run
from lake.text.formatting import between
from pages.text.formatting import PERCENT
from pages.text.glossary import GLOSSARY
from pages.text.groups import METHOD_NAMES
from pages.ui.core import data
from pages.ui.core.rows import pick_row
from pages.ui.session.navigation import link

METHODS = {title: method for method, title in METHOD_NAMES.items()}
RULE = (
    "Groups are matched by their members; their numbers mean nothing. The same: more than half of their union is in "
    "both, beyond chance. Split: two or more later groups, each mostly of the earlier one, hold most of it; merged is "
    "the reverse. Of born and died groups the closest is named."
)


class GroupMatch(TypedDict):
    """The cluster numbers of a row of `lake.comparison.cluster_matches.match_clusters`."""

    before: int | None
    now: int | None


def show_group_matches(run: Run, before: Run) -> None:
    """Show the summary, a row for each match, and links to the members of the selected one in both runs."""
    titles = list(METHODS)
    title = st.segmented_control("Method", titles, default=titles[0], required=True, key="matched", bind="query-params")
    method = METHODS[title or titles[0]]
    matches = cluster_matches.match_clusters(data.samples(run), data.samples(before), method)
    if matches.is_empty():
        st.info(f"{title} found no groups in either run.")
        return
    st.markdown(cluster_matches.say_matches(matches))
    row = _pick(matches, key=f"matches-{method}")
    st.caption(RULE)
    column = cluster_column(method)
    with st.container(horizontal=True):
        for cluster, source in ((row["before"], before), (row["now"], run)):
            if cluster is not None:
                text = Filters.of(**{column: str(cluster)}).to_text()
                name = f"Open group {cluster} of {source.run_id}"
                link("samples", name, icon=":material/table_rows:", f=text, run=source.run_id)


def _pick(matches: pl.DataFrame, *, key: str) -> GroupMatch:
    number = st.column_config.NumberColumn
    columns = ["event", "before", "now", "n_before", "n_now", "n_both"]
    ends = ["" if low is None else between(low, high, ".0%") for low, high in matches.select("low", "high").iter_rows()]
    return pick_row(
        matches,
        matches.select(*columns, pl.col("jaccard") * 100, pl.Series("interval", ends, dtype=pl.String)),
        GroupMatch,
        key=key,
        column_config={
            "event": st.column_config.TextColumn("Event", width="small"),
            "before": number("Before", format="%d"),
            "now": number("Now", format="%d"),
            "n_before": number("Samples before", format="localized"),
            "n_now": number("Samples now", format="localized"),
            "n_both": number("In both", format="localized"),
            "jaccard": number("Shared", format=PERCENT, help="Jaccard index: in both, of all in either."),
            "interval": st.column_config.TextColumn("95 % interval", help=GLOSSARY["interval"]),
        },
    )
