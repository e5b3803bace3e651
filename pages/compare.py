"""Compare: what this run fixed and broke since another one, and what changed in losses, map, groups, data, cost."""

import polars as pl
import streamlit as st

from lake.comparison import runs as compare
from lake.contracts.stages import title_of
from lake.storage.places import command
from lake.storage.store import Run
from pages.text import missing
from pages.text.changes import tabulate_figures
from pages.text.formatting import plain
from pages.text.glossary import GLOSSARY
from pages.text.missing import GROUPS, MAP
from pages.ui.comparison.data_drift import show_run_drift, show_split_drift
from pages.ui.comparison.loss_changes import show_loss_changes
from pages.ui.comparison.map_moves import show_map_moves
from pages.ui.comparison.run_changes import show_findings, show_samples
from pages.ui.core import comparisons, data, filters
from pages.ui.core.figure import show_figure
from pages.ui.groups.group_matches import show_group_matches
from pages.ui.session.navigation import link

PARTS = ["Samples", "Losses", "Map", "Groups", "Findings", "Drift", "Cost"]
PART_NEEDS = {"Map": MAP, "Groups": GROUPS}  # what both runs need for a part of the comparison
FIGURE_WIDTH = 238


def pick_other(run: Run) -> Run | None:
    """Choose the run to compare with, by default the previous one; None if there is no other."""
    same, foreign = data.other_runs(run), data.runs_of_other_data(run)
    previous = data.previous_run(run)
    first = [previous.run_id] if previous else []
    others = list(dict.fromkeys([*first, *same, *foreign]))
    if not others:
        st.markdown("## This lake has one run, so there is nothing to compare it with yet.")
        if missing.MODEL.is_met(run):
            st.markdown("Change a setting or the data, publish a second run, then come back:")
            st.code(command("refresh --seed 1", run.lake.root), language=None, wrap_lines=True)
        else:
            st.markdown("Bring the predictions of another model on the same samples, then come back.")
        return None
    other_id = st.selectbox("Against", others, key="against", bind="query-params", width=320)
    other = data.open_run(run.lake.root, other_id or others[0])
    facts = other.facts
    st.caption(
        f"Preset {facts['preset']} · {facts['dataset_name']} · published {facts['published_at']:%Y-%m-%d %H:%M} UTC"
    )
    return other


def show_figures(now: Run, before: Run, n: int) -> None:
    """Show the headline figures of both runs on the same samples, with the interval of their change."""
    with st.container(horizontal=True, gap="small"):
        for figure in tabulate_figures(comparisons.comparison(now, before, filters.current())):
            title = f"{figure.title} (before {figure.before})"
            show_figure(title, figure.now, figure.interval, figure.word, width=FIGURE_WIDTH)
    st.caption(
        f"On the same {n:,} held-out samples. Under each figure: the 95 % interval of its change.",
        help=GLOSSARY["interval"],
    )


def show_costs(run: Run, before: Run) -> None:
    """Show the duration of every stage of both runs."""
    times = compare.stage_times(run, before)
    st.markdown(compare.say_stage_times(times))
    number_column = st.column_config.NumberColumn
    reused = "Computed by an earlier refresh with the same inputs."
    st.dataframe(
        times.with_columns(pl.col("stage").map_elements(title_of, return_dtype=pl.String)),
        hide_index=True,
        column_config={
            "stage": "Stage",
            "seconds": number_column("Seconds now", format="%.1f"),
            "reused": st.column_config.CheckboxColumn("Reused now", help=reused),
            "seconds_before": number_column("Seconds before", format="%.1f"),
            "reused_before": st.column_config.CheckboxColumn("Reused before", help=reused),
            "ratio": number_column("Times as long", format="%.2f"),
        },
    )


def show_part(run: Run, before: Run, pairs: pl.DataFrame, now: pl.LazyFrame) -> None:
    """Show the selected part of the comparison."""
    parts = [p for p in PARTS if p not in PART_NEEDS or all(missing.has(r, PART_NEEDS[p]) for r in (run, before))]
    part = st.segmented_control("What changed", parts, default=parts[0], required=True, key="part", bind="query-params")
    match part:
        case "Losses":
            show_loss_changes(run, before, pairs)
        case "Map":
            show_map_moves(run, before, now)
        case "Groups":
            show_group_matches(run, before)
        case "Findings":
            show_findings(run, before)
        case "Drift":
            show_run_drift(run, before)
            show_split_drift(run)
        case "Cost":
            show_costs(run, before)
        case _:
            show_samples(run, before, pairs, now)


def main() -> None:
    run = data.current_run()
    st.title("Compare", help=f"Held-out samples of both runs only. {GLOSSARY['held-out']}")
    answer = st.container()
    before = pick_other(run)
    if before is None:
        return
    if before.dataset_id != run.dataset_id:
        answer.markdown(f"## {plain(compare.say_other_data(run, before))}")
        show_run_drift(run, before)
        show_split_drift(run)
        return
    now = filters.filtered(run)
    pairs = compare.scan_pairs(now, data.samples(before)).collect()
    if pairs.is_empty():
        answer.markdown("## No labelled held-out sample of both runs passes the filters.")
        answer.info("Loosen the filters in the sidebar, or choose another run.")
        return
    answer.markdown(f"## {compare.count_changes(pairs).sentence()}")
    show_figures(run, before, len(pairs))
    show_part(run, before, pairs, now)
    link("runs", "Every run", icon=":material/history:")


main()
