"""Reads of what could not be used, cached, and the parts of pages that the frame has in common with them."""

import datetime as dt
from typing import Any

import polars as pl
import streamlit as st

from lake.query.refused import Refused, count_reasons, measure_refused
from lake.storage.attempts import find_failed_attempt, tell_attempt
from lake.storage.store import Lake, Run, default_root
from pages.text.formatting import plain
from pages.ui.core.data import SECONDS_UNTIL_NEW_RUNS_SHOW, open_run
from pages.ui.session import telemetry


@st.cache_resource(max_entries=16, show_spinner=False)
@telemetry.query("refused")
def _refused(root: str, run_id: str) -> tuple[Refused, pl.DataFrame]:
    run = open_run(root, run_id)
    return measure_refused(run), count_reasons(run)


def refused(run: Run) -> Refused:
    """How much of the source of the run could not be used."""
    return _refused(run.lake.root, run.run_id)[0]


def reasons(run: Run) -> pl.DataFrame:
    """Why, as `lake.query.refused.count_reasons`."""
    return _refused(run.lake.root, run.run_id)[1]


@st.cache_data(ttl=SECONDS_UNTIL_NEW_RUNS_SHOW, max_entries=4, show_spinner=False)
@telemetry.query("failed attempt")
def _failed_attempt(root: str) -> dict[str, Any] | None:
    return find_failed_attempt(Lake(root))


def show_failed_attempt() -> None:
    """Show the refresh that stopped because of its data after the latest run; nothing if there is none."""
    attempt = _failed_attempt(default_root())
    if attempt is None:
        return
    first, *more = tell_attempt(attempt, dt.datetime.now(dt.UTC)).splitlines()
    st.warning(plain(first), icon=":material/sync_problem:")
    counted = pl.DataFrame(attempt["refused"])
    if not more and counted.is_empty():
        return
    with st.expander("What that refresh could not use" if len(counted) else "What that refresh asks"):
        if more:
            st.code("\n".join(more), language=None, wrap_lines=True)
        if len(counted):
            show_reasons(counted)


def show_reasons(counted: pl.DataFrame) -> None:
    """Show each reason with its count and one example; the columns are those of `count_reasons`."""
    is_silent = counted["detail"].str.len_chars().sum() == 0
    st.dataframe(
        counted.drop("detail") if is_silent else counted,
        hide_index=True,
        column_config={
            "reason": st.column_config.TextColumn("Why"),
            "n": st.column_config.NumberColumn("How many", format="localized"),
            "example": st.column_config.TextColumn("For example", width="large"),
            "detail": st.column_config.TextColumn("Because", width="medium"),
        },
    )
