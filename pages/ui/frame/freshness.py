"""How new what is read is: a banner where a newer run was published, or none for longer than the run allows."""

import datetime as dt
import json

import streamlit as st

from lake.errors import LakeError
from lake.storage.store import Run
from pages.text.words import counted
from pages.ui.core import data
from pages.ui.core.told import tell_errors
from pages.ui.session.navigation import address, page

LOOK_AGAIN = dt.timedelta(minutes=1)
STALE_DAYS = 7.0
"""Where a run does not say when it counts as old."""


@st.fragment(run_every=LOOK_AGAIN)
@tell_errors()
def show_banner(run: Run, page_name: str) -> None:
    """What the reader should know of the run's age; it looks again by itself, and never changes what is read."""
    try:
        latest = data.runs().row(0, named=True)
    except LakeError:  # it looks again without the frame, whose sentence would stand here otherwise
        st.caption(":material/cloud_off: The lake cannot be read at the moment, so newer runs are not seen.")
        return
    if latest["run_id"] != run.run_id:
        with st.container(horizontal=True, vertical_alignment="center", key="newer-run"):
            st.caption(
                f":material/update: A newer run is published: {latest['published_at']:%d %b %Y %H:%M:%S} · "
                f"{latest['preset']}. You go on reading {run.run_id}.",
                width="content",
            )
            st.page_link(page(page_name), label="Read the newest", query_params=address(run=latest["run_id"]))
        return
    age = dt.datetime.now(dt.UTC) - run.facts["published_at"]
    if age > dt.timedelta(days=stale_days(run)):
        st.warning(
            f"Nothing newer has been published for {age.days:,} days. Whether a refresh found nothing new or failed, "
            "its log says.",
            icon=":material/history:",
        )


def stale_days(run: Run) -> float:
    """The age in days from which the run counts as old, as it was set when it was computed."""
    return float(json.loads(run.facts["config"]).get("stale_days", STALE_DAYS))


def ago(age: dt.timedelta) -> str:
    """An age in words."""
    hours = int(age.total_seconds() // 3600)
    if hours < 1:
        return "within the hour"
    return f"{counted(hours // 24, 'day') if hours >= 48 else counted(hours, 'hour')} ago"
