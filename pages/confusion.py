"""Where it fails: the confusion matrix, whose cells open their gallery; classes and honesty of the confidence."""

import polars as pl
import streamlit as st

from lake.query import queries
from lake.statistics import wilson_interval
from lake.storage.store import Run
from pages.charts import charts, scales
from pages.text import missing
from pages.text.formatting import PERCENT, plain, pluralize, share_with_interval
from pages.text.glossary import GLOSSARY
from pages.ui.core import data, filters
from pages.ui.core.chart_registry import show_chart
from pages.ui.groups import confusion_list
from pages.ui.loss_maps.pooled import Comparison, show_pooled
from pages.ui.samples.gallery import show_gallery
from pages.ui.samples.versus import show_versus

IN_THE_GALLERY = 32
MATRIX = "Confusion matrix of given label by prediction"
Cell = dict[str, object]


def show_answer(held_out: pl.LazyFrame, noun: str) -> Cell | None:
    """Show the largest confusion and return its cell; None if nothing is wrong. `noun` names one sample."""
    confusions = queries.top_confusions(held_out).collect()
    if confusions.is_empty():
        st.markdown("## No held-out sample that passes the filters is misclassified.")
        return None
    top = confusions.row(0, named=True)
    errors = int(confusions["n"].sum())
    images = pluralize(top["total"], f"{plain(top['label'])} {noun}")
    st.markdown(
        f"## The largest confusion: **{share_with_interval(top['n'], top['total'])}** of the {images} "
        f"{'is' if top['total'] == 1 else 'are'} called **{plain(top['predicted'])}**, "
        + ("the only error." if errors == 1 else f"{top['n']:,} of all {errors:,} errors.")
    )
    return top


def pick_cell(run: Run, held_out: pl.LazyFrame) -> Cell | None:
    """Show the matrix, or for many classes a list and the matrix around one; return the selected cell."""
    if len(run.classes) <= scales.MOST_VALUES:
        values, value = _choose_value(run, held_out)
        matrix = charts.confusion_matrix(values, run.classes, value=value)
        return confusion_list.show_matrix(matrix, key="matrix", alt=MATRIX)
    cells = queries.confusion(held_out).collect()
    in_list = confusion_list.pick_confusion(cells)
    label = confusion_list.pick_class(run, cells)
    values, value = _choose_value(run, held_out)
    in_matrix = confusion_list.show_matrix_of(values, label, value=value)
    return confusion_list.keep_latest([confusion_list.top_around(cells, label), in_list, in_matrix])


def _choose_value(run: Run, held_out: pl.LazyFrame) -> tuple[pl.DataFrame, str]:
    """Return the cells and the column to show in them."""
    others = data.other_runs(run)
    value_names = {"share": "Share of the label", "n": "Counts"} | (
        {"difference": "Difference to a run"} if others else {}
    )
    value = st.segmented_control(
        "Show",
        list(value_names),
        default="share",
        required=True,
        key="matrix-value",
        format_func=value_names.__getitem__,
    )
    cells = _difference(run, others) if value == "difference" else queries.confusion(held_out).collect()
    return cells, value or "share"


def _difference(run: Run, others: list[str]) -> pl.DataFrame:
    """Return the differences to the cells of another run, on the samples of both that pass the filters."""
    other = data.open_run(run.lake.root, st.selectbox("Other run", others, key="matrix-run"))
    st.caption("Percentage points of the label more or fewer than in that run: red is worse, blue is better.")
    return queries.confusion_difference(filters.filtered(run), data.samples(other)).collect()


def show_classes(held_out: pl.LazyFrame) -> None:
    """Show recall, precision and loss by class, worst first."""
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
        placeholder="–",
    )


def show_reliability(held_out: pl.LazyFrame) -> None:
    """Show the share right by confidence."""
    table = queries.reliability(held_out).collect()
    intervals = [wilson_interval(hits, n) for hits, n in table.select("hits", "n").iter_rows()]
    frame = table.with_columns(
        (pl.col("hits") / pl.col("n")).alias("accuracy"),
        pl.Series("low", [low for low, _ in intervals]),
        pl.Series("high", [high for _, high in intervals]),
    )
    show_chart(charts.reliability(frame), key="reliability", alt="Reliability diagram")
    st.caption("On the dashed line, confidence equals the share right. Bars are 95 % intervals.")
    calibration = queries.class_calibration(held_out).collect()
    right = [share_with_interval(hits, n) for hits, n in calibration.select("hits", "n").iter_rows()]
    number = st.column_config.NumberColumn
    st.dataframe(
        calibration.select("predicted", pl.col("confidence") * 100, pl.Series("right", right), pl.col("gap") * 100),
        hide_index=True,
        column_config={
            "predicted": "Predicted",
            "confidence": number("Confidence", format=PERCENT),
            "right": "Right (95 % interval)",
            "gap": number("Too confident by", format="%+.1f", help="Percentage points; negative is too modest."),
        },
    )


def show_cell(run: Run, held_out: pl.LazyFrame, cell: Cell) -> None:
    """Show the samples of a cell, and how they differ from the right ones of their class in measured properties."""
    label, predicted = str(cell["label"]), str(cell["predicted"])
    class_samples = held_out.filter(pl.col("label") == label).collect()
    inside = class_samples["predicted"] == predicted
    members = class_samples.filter(inside).sort("loss", descending=True)
    title = plain(f"{label[:1].upper()}{label[1:]} called {predicted}")
    st.subheader(f"{title}: {pluralize(len(members), 'sample')}")
    st.caption("Highest loss first. Click another cell of the matrix to see its samples.")
    show_gallery(run, members.head(IN_THE_GALLERY), key="cell-gallery")
    samples = class_samples.filter(inside | class_samples["correct"])
    if label == predicted or not 0 < len(members) < len(samples) or not run.has("properties"):
        return
    st.subheader(f"What sets them apart from {plain(label)} images that are right")
    names = (f"Called {predicted}", "Right")
    show_versus(run, samples, samples["predicted"] == predicted, names, order="margin")
    if layers := data.map_layers(run):
        st.subheader("Where in the image their loss is raised", help=GLOSSARY["pooled"])
        show_pooled(run, _cell_maps(class_samples, label, predicted), layers[0], key="cell")


def _cell_maps(class_samples: pl.DataFrame, label: str, predicted: str) -> Comparison:
    """Return the samples of a cell and the right ones of its class, to compare their maps."""
    ids = {True: class_samples.filter(predicted=predicted), False: class_samples.filter(correct=True)}
    inside, right = (ids[is_member]["sample_id"].to_numpy() for is_member in (True, False))
    return Comparison(f"{label} images called {predicted}", inside, f"{label} images that are right", right)


def main() -> None:
    run = data.current_run()
    st.title("Where it fails", help=f"Held-out samples only. {GLOSSARY['held-out']}")
    held_out = filters.filtered(run).filter(queries.HELD_OUT)
    if held_out.select(pl.len()).collect().item() == 0:
        st.info("No labelled held-out sample passes the filters: loosen them in the sidebar.")
        return
    top = show_answer(held_out, missing.noun(run))
    left, right = st.columns([3, 2], gap="large")
    with left:
        cell = pick_cell(run, held_out) or top
    with right:
        classes, confidence = st.tabs(["Classes", "Confidence"])
        with classes:
            show_classes(held_out)
        with confidence:
            show_reliability(held_out)
    if cell:
        show_cell(run, held_out, cell)


main()
