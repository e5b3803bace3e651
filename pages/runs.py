"""Runs: history of what was published, how the model was trained, and what each stage cost."""

import json

import polars as pl
import streamlit as st

from lake.contracts.stages import title_of
from lake.query import queries
from lake.query.aggregates import or_zero
from lake.storage.store import Run, default_root
from pages.charts import charts
from pages.text import missing
from pages.text.formatting import PERCENT, percent, plain
from pages.ui.core import data
from pages.ui.core.chart_registry import show_chart
from pages.ui.review.refused import show_understood
from pages.ui.session.navigation import link

MAX_FORCED = 3


def history() -> pl.DataFrame:
    """Return every published run with its headline figures, newest first."""
    runs = data.runs()
    figures = data.metrics_of_runs(runs, "score", "test_accuracy", "test_loss")
    counts = [{t["name"]: t["rows"] for t in tables}["predictions"] for tables in runs["tables"]]
    return (
        runs.select("run_id", "published_at", "preset", "dataset_name")
        .join(figures, on="run_id", how="left", maintain_order="left")
        .with_columns(pl.Series("scored", counts))
    )


def show_history(runs: pl.DataFrame) -> None:
    """Show the runs as a table, and as a line if there are several."""
    column = st.column_config
    st.dataframe(
        runs.with_columns(pl.col("test_accuracy") * 100),
        hide_index=True,
        column_config={
            "run_id": "Run",
            "published_at": column.DatetimeColumn("Published (UTC)", format="YYYY-MM-DD HH:mm"),
            "preset": "Preset",
            "dataset_name": "Data",
            "test_accuracy": column.NumberColumn("Accuracy, test", format=PERCENT),
            "test_loss": column.NumberColumn("Mean loss, test (nats)", format="%.3f"),
            "scored": column.NumberColumn("Samples scored", format="localized"),
        },
    )
    if len(runs) > 1:
        show_chart(
            charts.lines(
                runs,
                x="published_at:T",
                y="test_accuracy:Q",
                x_title="Published (UTC)",
                y_title="Accuracy, test",
                is_share=True,
            ),
            key="history",
            alt="Test accuracy by run",
        )


def show_rejected() -> None:
    """Show rejected runs with their reasons, and runs that were published by force."""
    forced = data.runs().drop_nulls("forced")
    for row in forced.head(MAX_FORCED).iter_rows(named=True):
        st.warning(plain(f"Run {row['run_id']} was published by force: {row['forced']}"))
    rejected = data.rejected()
    if rejected.is_empty():
        return
    with st.expander(f"{len(rejected):,} refused run{'s' if len(rejected) > 1 else ''}, kept from readers"):
        st.dataframe(
            rejected.select("run_id", "rejected_at", "preset", "reason"),
            hide_index=True,
            column_config={
                "run_id": "Run",
                "rejected_at": st.column_config.DatetimeColumn("Refused (UTC)", format="YYYY-MM-DD HH:mm"),
                "preset": "Preset",
                "reason": st.column_config.TextColumn("Why", width="large"),
            },
        )


def show_training(run: Run) -> None:
    """Show loss and speed during training."""
    training = data.table(run, "training").sort("step")
    if training.is_empty():
        st.info(missing.say_untrained(run))
        return
    measures = {"loss": "Training loss (nats)", "images_per_second": "Images per second"}
    for column, (measure, title) in zip(st.columns(2, gap="large"), measures.items(), strict=True):
        with column:
            show_chart(
                charts.lines(training, x="epoch:Q", y=f"{measure}:Q", x_title="Epoch", y_title=title),
                key=f"training-{measure}",
                alt=f"{title} by epoch",
            )
    sizes = ", ".join(f"{r} px" for r in training["resolution"].unique(maintain_order=True))
    st.caption(
        f"Image sizes in order: {sizes}; samples are scored and explained at the last. "
        "Larger images train slower; labels are smoothed, so the loss stays above 0."
    )


def show_stages(run: Run) -> None:
    """Show duration and peak memory of every stage."""
    costs = (
        queries.stage_costs(run)
        .collect()
        .with_columns(pl.col("stage").map_elements(title_of, return_dtype=pl.String), pl.col("reused") > 0)
    )
    column = st.column_config
    st.dataframe(
        costs,
        hide_index=True,
        column_config={
            "stage": "Stage",
            "seconds": column.ProgressColumn(
                "Seconds", format="%.1f", min_value=0, max_value=or_zero(costs["seconds"].max()) or 1.0
            ),
            "peak_memory_mib": column.NumberColumn("Peak memory (MiB)", format="%.0f"),
            "reused": column.CheckboxColumn("Reused", help="Computed by an earlier refresh with the same inputs."),
        },
    )


def main() -> None:
    run = data.current_run()
    st.title("Runs")
    runs = history()
    newest = runs.row(0, named=True)
    test_accuracy, noun = newest["test_accuracy"], missing.noun(data.open_run(default_root(), newest["run_id"]))
    accuracy = (
        "" if test_accuracy is None else f"; the latest is right on **{percent(test_accuracy)}** of the test {noun}s"
    )
    st.markdown(f"## {len(runs)} published run{'s' if len(runs) > 1 else ''}{accuracy}.")
    show_history(runs)
    show_rejected()
    link("compare", "Compare two runs", icon=":material/compare_arrows:")
    st.subheader(f"How {run.run_id} was made")
    show_understood(run)
    show_training(run)
    show_stages(run)
    with st.expander("Settings and packages"):
        st.json({"settings": json.loads(run.facts["config"]), "packages": json.loads(run.facts["packages"])})


main()
