"""Where it fails: the confusion matrix, whose cells open their gallery; classes and honesty of the confidence."""

import polars as pl
import streamlit as st

from lake import queries
from lake.statistics import wilson_interval
from lake.store import Run
from pages.ui import charts, data, filters
from pages.ui.gallery import show_gallery
from pages.ui.words import GLOSSARY, PERCENT, share_with_interval

IN_THE_GALLERY = 32


def show_answer(held_out: pl.LazyFrame) -> dict[str, object] | None:
    """The largest confusion in one sentence; None where nothing is wrong."""
    confusions = queries.top_confusions(held_out).collect()
    if confusions.is_empty():
        st.markdown("##### No held-out sample that passes the filters is misclassified.")
        return None
    top = confusions.row(0, named=True)
    errors = int(confusions["n"].sum())
    st.markdown(
        f"##### The largest confusion: **{share_with_interval(top['n'], top['total'])}** of the {top['total']:,} "
        f"{top['label']} images are called **{top['predicted']}**, {top['n']:,} of all {errors:,} errors."
    )
    return top


def pick_cell(run: Run, held_out: pl.LazyFrame) -> dict[str, object] | None:
    """The matrix; returns the cell the reader clicked."""
    value = st.segmented_control(
        "Show",
        ["share", "n"],
        default="share",
        required=True,
        key="matrix-value",
        format_func={"share": "Share of the label", "n": "Counts"}.__getitem__,
    )
    state = st.altair_chart(
        charts.confusion_matrix(queries.confusion(held_out).collect(), run.classes, value=value or "share"),
        on_select="rerun",
        selection_mode="cell",
        key="matrix",
        alt="Confusion matrix of given label by prediction",
    )
    cells = state["selection"].get("cell") or []
    return dict(cells[0]) if cells and {"label", "predicted"} <= set(cells[0]) else None


def show_classes(held_out: pl.LazyFrame) -> None:
    """Recall, precision and loss by class, worst first."""
    report = queries.class_report(held_out).collect()
    recall = [share_with_interval(hits, n) for hits, n in report.select("hits", "n").iter_rows()]
    number = st.column_config.NumberColumn
    st.dataframe(
        report.select("label", pl.Series("recall", recall), pl.col("precision") * 100, "mean_loss"),
        hide_index=True,
        column_config={
            "label": st.column_config.TextColumn("Class", width=80),
            "recall": st.column_config.TextColumn("Recall (95 % interval)", width=140),
            "precision": number("Precision", format=PERCENT, width=70),
            "mean_loss": number("Loss", format="%.2f", width=50, help="Mean cross-entropy in nats."),
        },
    )


def show_reliability(held_out: pl.LazyFrame) -> None:
    """Confidence against share right."""
    table = queries.reliability(held_out).collect()
    intervals = [wilson_interval(hits, n) for hits, n in table.select("hits", "n").iter_rows()]
    frame = table.with_columns(
        (pl.col("hits") / pl.col("n")).alias("accuracy"),
        pl.Series("low", [low for low, _ in intervals]),
        pl.Series("high", [high for _, high in intervals]),
    )
    st.altair_chart(charts.reliability(frame), key="reliability", alt="Reliability diagram")
    st.caption("On the dashed line, confidence equals the share right. Bars are 95 % intervals.")


def main() -> None:
    run = data.current_run()
    st.title("Where it fails", help=f"Held-out samples only. {GLOSSARY['held-out']}")
    held_out = filters.filtered(run).filter(queries.HELD_OUT)
    if held_out.select(pl.len()).collect().item() == 0:
        st.info("No labelled held-out sample passes the filters: loosen them in the sidebar.")
        st.stop()
    top = show_answer(held_out)
    left, right = st.columns([3, 2], gap="large")
    with left:
        cell = pick_cell(run, held_out) or top
    with right:
        classes, honesty = st.tabs(["Classes", "Confidence"])
        with classes:
            show_classes(held_out)
        with honesty:
            show_reliability(held_out)
    if cell:
        members = held_out.filter(pl.col("label") == cell["label"], pl.col("predicted") == cell["predicted"])
        shown = members.sort("loss", descending=True).collect()
        st.subheader(f"{str(cell['label']).capitalize()} called {cell['predicted']}: {len(shown):,} samples")
        st.caption("Highest loss first. Click another cell of the matrix to see its samples.")
        show_gallery(run, shown.head(IN_THE_GALLERY), key="cell-gallery")


main()
