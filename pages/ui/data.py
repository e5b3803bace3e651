"""Everything pages read, cached by run and plain arguments; filtering happens outside the caches."""

import polars as pl
import streamlit as st

from lake import queries
from lake.statistics import bootstrap_mean_interval
from lake.store import Lake, Run, default_root

SECONDS_UNTIL_NEW_RUNS_SHOW = 10


@st.cache_data(ttl=SECONDS_UNTIL_NEW_RUNS_SHOW, max_entries=4, show_spinner=False)
def read_runs(root: str) -> pl.DataFrame:
    """Published runs, newest first."""
    return Lake(root).runs()


@st.cache_resource(max_entries=16, show_spinner=False)
def open_run(root: str, run_id: str) -> Run:
    """A run at its pinned table versions."""
    return Lake(root).run(run_id)


def runs() -> pl.DataFrame:
    """Published runs of the lake being served, newest first."""
    return read_runs(default_root())


def current_run() -> Run:
    """The run this session reads; it changes only when the reader picks another."""
    return open_run(default_root(), st.session_state["run_id"])


@st.cache_resource(max_entries=4, show_spinner="Reading the run ...")
def _samples(root: str, run_id: str) -> pl.DataFrame:
    return queries.scan_samples(open_run(root, run_id)).collect()


def samples(run: Run) -> pl.LazyFrame:
    """Every scored sample of the run with all that was measured of it."""
    return _samples(run.lake.root, run.run_id).lazy()


@st.cache_resource(max_entries=64, show_spinner=False)
def _table(root: str, run_id: str, name: str) -> pl.DataFrame:
    return open_run(root, run_id).scan(name).collect()


def table(run: Run, name: str) -> pl.DataFrame:
    """A small table of the run: findings, cluster_summaries, training, metrics."""
    return _table(run.lake.root, run.run_id, name)


@st.cache_data(max_entries=64, show_spinner=False)
def _purity(root: str, run_id: str, group: str) -> tuple[float, float, float, list[int]]:
    frame = queries.neighbor_purity(open_run(root, run_id), group).collect()
    low, high = bootstrap_mean_interval(frame["purity"].to_numpy(), resamples=200)
    misplaced = frame.filter(pl.col("purity") < 0.5).sort("purity", "sample_id")
    return float(frame["purity"].mean()), low, high, misplaced["sample_id"].to_list()  # type: ignore[arg-type]


def purity(run: Run, group: str) -> tuple[float, float, float, list[int]]:
    """Mean share of the 15 nearest that are of the same group, its interval, and the samples in a minority."""
    return _purity(run.lake.root, run.run_id, group)
