"""A banner if a newer run was published, or if none was for longer than the run's `stale_days`."""

import datetime as dt
import json

import streamlit as st

from lake.errors import LakeError
from lake.storage.store import Run
from pages.text.formatting import pluralize
from pages.ui.core import data
from pages.ui.core.page_errors import show_errors
from pages.ui.session.navigation import address, page

LOOK_AGAIN = dt.timedelta(minutes=1)
STALE_DAYS = 7.0
"""Default for runs without this setting."""


@st.fragment(run_every=LOOK_AGAIN)
@show_errors()
def show_banner(run: Run, page_name: str) -> None:
    """Show a banner about the age of the run; it updates itself but never changes the run."""
    try:
        latest = data.runs().row(0, named=True)
    except LakeError:  # the fragment reruns without the frame, which would otherwise show the error
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
            f"Nothing newer has been published for {age.days:,} days. The log of the refresh says "
            "whether it found nothing new or failed.",
            icon=":material/history:",
        )


def stale_days(run: Run) -> float:
    """Return the age in days from which the run counts as old, from its settings."""
    return float(json.loads(run.facts["config"]).get("stale_days", STALE_DAYS))


def ago(age: dt.timedelta) -> str:
    """An age in words."""
    hours = int(age.total_seconds() // 3600)
    if hours < 1:
        return "within the hour"
    return f"{pluralize(hours // 24, 'day') if hours >= 48 else pluralize(hours, 'hour')} ago"
