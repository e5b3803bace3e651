"""Cached comparisons of two runs, like `pages.ui.core.data`."""

import polars as pl
import streamlit as st

from lake.comparison import drift, projection_drift
from lake.comparison import runs as compare
from lake.comparison.drift import Drift
from lake.comparison.projection_drift import Alignment
from lake.query.filters import Filters
from lake.storage.store import Run
from pages.ui.core import data
from pages.ui.session import telemetry


@st.cache_resource(max_entries=4, show_spinner="Laying the maps over each other ...")
@telemetry.query("map moves")
def _map_moves(root: str, run_id: str, before_id: str) -> tuple[Alignment, pl.DataFrame]:
    now, before = (data.samples(data.open_run(root, name)) for name in (run_id, before_id))
    return projection_drift.measure_moves(now, before)


def map_moves(run: Run, before: Run) -> tuple[Alignment, pl.DataFrame]:
    """Return how the earlier map was aligned with that of the run, and how far each sample of both moved."""
    return _map_moves(run.lake.root, run.run_id, before.run_id)


@st.cache_resource(max_entries=8, show_spinner="Testing for drift ...")
@telemetry.query("drift of splits")
def _split_drift(root: str, run_id: str) -> Drift:
    return drift.split_drift(data.open_run(root, run_id))


def split_drift(run: Run) -> Drift:
    """Return the drift tests between the splits of the run."""
    return _split_drift(run.lake.root, run.run_id)


@st.cache_resource(max_entries=8, show_spinner="Testing for drift ...")
@telemetry.query("drift of runs")
def _run_drift(root: str, run_id: str, before_id: str) -> Drift | str:
    return drift.run_drift(data.open_run(root, run_id), data.open_run(root, before_id))


def run_drift(run: Run, before: Run) -> Drift | str:
    """Return the drift tests of the images that only the run has, or why they are not tested."""
    return _run_drift(run.lake.root, run.run_id, before.run_id)


@st.cache_resource(max_entries=64, show_spinner="Comparing the runs ...")
@telemetry.query("comparison")
def _comparison(root: str, run_id: str, before_id: str, filters: str, by: str) -> pl.DataFrame:
    run, before = data.open_run(root, run_id), data.open_run(root, before_id)
    now = Filters.from_text(filters).apply(data.samples(run))
    pairs = compare.scan_pairs(now, data.samples(before)).collect()
    return compare.loss_changes(pairs, by) if by else compare.figures(run, before, pairs)


def comparison(run: Run, before: Run, filters: Filters, *, by: str = "") -> pl.DataFrame:
    """Return the headline figures of both runs on the samples that pass, or the changes of the loss by a column."""
    return _comparison(run.lake.root, run.run_id, before.run_id, filters.to_text(), by)
