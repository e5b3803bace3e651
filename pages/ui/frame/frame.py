"""The frame around every page: login, navigation, run picker, filters, freshness; errors as sentences.

Streamlit runs this file for every session and rerun.
"""

import datetime as dt
from collections import Counter
from pathlib import Path

import polars as pl
import streamlit as st

from lake.errors import LakeError
from lake.storage.damage import reading
from lake.storage.places import command, default_root, find_file
from lake.storage.store import Run
from pages.text.formatting import plain
from pages.text.glossary import GLOSSARY
from pages.ui.core import chart_registry, data, filters, refusals
from pages.ui.core.page_errors import show_errors
from pages.ui.frame import chart_files, tour
from pages.ui.frame.freshness import ago, show_banner
from pages.ui.session import login, telemetry
from pages.ui.session.copy_link import copy_link
from pages.ui.session.navigation import ENTRIES, address, grouped_pages


def show() -> None:
    """Draw the frame and the page that the URL names, or the login."""
    st.set_page_config(page_title="latentlake", page_icon="🌊", layout="wide")
    st.html(f"<style>{_styles()}</style>")
    with show_errors():
        may_read = login.admit()
        navigation = st.navigation(grouped_pages(), position="sidebar" if may_read else "hidden")
        if may_read:
            login.show_visitor()
            page_name = navigation.url_path or ENTRIES[0].name
            with telemetry.page_run(page_name), reading(default_root()):
                _show_run(navigation, page_name)


def _styles() -> str:
    files = ["frame.css"] + (["dark.css"] if st.context.theme.type == "dark" else [])
    return "".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in files)


def _show_run(navigation: st.Page, page_name: str) -> None:
    run = _choose_run()
    if run is None:
        return
    with st.sidebar:
        filters.show_filters(run)
        copy_link("Copy link to this page", key="copy-link")
        files = st.container()
        _explain_words()
    _keep_address()
    st.session_state["address"] = (st.session_state["run_id"], st.session_state["filters"])
    show_banner(run, page_name)
    tour.show_step(run, page_name)
    page_charts = chart_registry.start_page()
    navigation.run()
    with files:
        chart_files.show_download(page_charts, page_name)
    _footer(run)


def _choose_run() -> Run | None:
    """Return the run of the session, initially that of the URL or the latest; None if the lake is empty."""
    runs = data.runs()
    if runs.is_empty():
        st.title("No run yet")
        st.markdown(f"The lake `{default_root()}` is empty. Fill it with one command, then reload this page:")
        st.code(
            command("refresh" if find_file() else "refresh --preset quick", default_root()),
            language=None,
            wrap_lines=True,
        )
        refusals.show_failed_attempt()
        return None
    ids = runs["run_id"].to_list()
    address_changed = _follow_address(ids[0])
    run_id = st.session_state["run_id"]
    if run_id not in ids:
        raise LakeError(
            f"The run {plain(repr(run_id[:80]))} is not in this lake. "
            f"Open it without ?run= to see the latest, {ids[0]}."
        )
    with st.sidebar:
        st.session_state["run_picker"] = run_id
        st.selectbox("Run", ids, format_func=name_runs(runs).__getitem__, key="run_picker", on_change=_pick_run)
    run = data.current_run()
    if address_changed:
        filters.accept(st.query_params.get("f", ""), run)
    return run


def name_runs(runs: pl.DataFrame) -> dict[str, str]:
    """Return the display name of each run: publication time and preset, with its id if another has the same.

    Streamlit identifies the options of a select box by their display names.
    """
    names = {r["run_id"]: f"{r['published_at']:%d %b %Y %H:%M:%S} · {r['preset']}" for r in runs.iter_rows(named=True)}
    uses = Counter(names.values())
    return {run_id: name if uses[name] == 1 else f"{name} · {run_id}" for run_id, name in names.items()}


def _follow_address(latest: str) -> bool:
    """Return whether the URL has changed by a link or the back button, or a session begins.

    The navigation in the sidebar opens pages without parameters, and then the session's run and filters stay.
    """
    requested = (st.query_params.get("run", latest), st.query_params.get("f", ""))
    current = st.session_state.get("address")
    if current is not None and ("run" not in st.query_params or requested == current):
        return False
    st.session_state["run_id"] = requested[0]
    return True


def _pick_run() -> None:
    st.session_state["run_id"] = st.session_state["run_picker"]


def _keep_address() -> None:
    """Write run and filters into the URL; parameters of the page are kept."""
    parameters = address()
    st.query_params["run"] = parameters["run"]
    if "f" in parameters:
        st.query_params["f"] = parameters["f"]
    else:
        st.query_params.pop("f", None)


def _explain_words() -> None:
    """Show the glossary in alphabetical order."""
    with st.popover("What the words mean", icon=":material/menu_book:", width="stretch"):
        st.markdown("\n\n".join(_GLOSSARY_LINES))


def _footer(run: Run) -> None:
    facts = run.facts
    rows = {table["name"]: table["rows"] for table in facts["tables"]}
    age = dt.datetime.now(dt.UTC) - facts["published_at"]
    in_sample = data.samples(run).select((~pl.col("out_of_sample")).sum()).collect().item()
    st.divider()
    st.caption(
        f"Run {run.run_id} · preset {facts['preset']} · {facts['dataset_name']} ({run.dataset_id}) · "
        f"{rows['predictions']:,} samples scored, {in_sample:,} of them in-sample: trained on, never used for "
        f"statements about loss · published {facts['published_at']:%Y-%m-%d %H:%M} UTC ({ago(age)}) · "
        f"{facts['checks']} checks passed"
    )


_GLOSSARY_LINES = [
    f"**{plain(word[:1].upper() + word[1:])}**: {plain(GLOSSARY[word])}" for word in sorted(GLOSSARY, key=str.lower)
]


if __name__ == "__main__":
    show()
