"""Samples: the analyst's table of everything measured; filter in the sidebar, sort here, take exactly these rows."""

import io

import polars as pl
import streamlit as st

from lake import queries
from lake.cluster_contracts import METHODS
from lake.store import Run
from pages.ui import data, filters
from pages.ui.routes import thumbnail_folder
from pages.ui.sample_panel import show_sample
from pages.ui.words import name, number

SHOWN = ["label", "predicted", "correct", "loss", "confidence", "split", "out_of_sample"]
MAX_ROWS = 2000


def show_answer(frame: pl.LazyFrame) -> None:
    """How many rows pass, and how wrong they are."""
    total = queries.accuracy(frame.filter(pl.col("out_of_sample"))).collect().row(0, named=True)
    rows = frame.select(pl.len()).collect().item()
    sentence = f"**{rows:,} samples** pass the filters"
    if total["n"]:
        sentence += (
            f"; of the {total['n']:,} labelled held-out ones {total['n'] - total['hits']:,} are wrong, "
            f"at a mean loss of {number(total['mean_loss'])} nats"
        )
    st.markdown(f"##### {sentence}.")


def columns_of(run: Run) -> list[str]:
    """Every column an analyst may show."""
    clusters = [queries.cluster_column(method) for method in METHODS]
    rest = ["expected_loss", "margin", "neighbors_kept", "x", "y", "source_name"]
    return [*SHOWN, *run.groups, *clusters, *queries.PROPERTIES, *rest]


def show_table(run: Run, frame: pl.DataFrame, columns: list[str]) -> None:
    """The rows with thumbnails; a selected row opens its sample."""
    image = (pl.lit(thumbnail_folder(run)) + pl.col("sample_id").cast(pl.String) + ".png").alias("image")
    table = frame.head(MAX_ROWS).select("sample_id", image, *columns)
    shown = {c: st.column_config.Column(name(c)) for c in columns}
    shown |= {c: st.column_config.NumberColumn(name(c), format="%.3f") for c in columns if table.schema[c].is_float()}
    state = st.dataframe(
        table,
        hide_index=True,
        height=560,
        row_height=44,
        on_select="rerun",
        selection_mode="single-row",
        key="sample-table",
        column_config={
            "sample_id": st.column_config.NumberColumn("Sample", format="%d", pinned=True),
            "image": st.column_config.ImageColumn("Image", width="small"),
            **shown,
        },
    )
    rows = state["selection"]["rows"]
    if rows and st.session_state.get("opened-row") != rows[0]:
        show_sample(run, int(table["sample_id"][rows[0]]))
    st.session_state["opened-row"] = rows[0] if rows else None


def show_exports(frame: pl.DataFrame) -> None:
    """Downloads of exactly the filtered rows."""
    left, right, _ = st.columns([1, 1, 3])
    left.download_button(
        f"CSV ({len(frame):,} rows)", lambda: frame.write_csv().encode(), "samples.csv", "text/csv", width="stretch"
    )
    right.download_button(
        f"Parquet ({len(frame):,} rows)", lambda: to_parquet(frame), "samples.parquet", width="stretch"
    )


def to_parquet(frame: pl.DataFrame) -> bytes:
    """The frame as the bytes of a parquet file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def main() -> None:
    run = data.current_run()
    st.title("Samples")
    frame = filters.filtered(run)
    show_answer(frame)
    choose, order, direction = st.columns([4, 2, 1], vertical_alignment="bottom")
    columns = choose.multiselect("Columns", columns_of(run), default=SHOWN, format_func=name, key="columns") or SHOWN
    by = order.selectbox("Sort by", columns_of(run), index=SHOWN.index("loss"), format_func=name, key="sort-by")
    descending = direction.toggle("Descending", value=True, key="descending")
    rows = frame.sort(by, "sample_id", descending=[descending, False], nulls_last=True).collect()
    show_table(run, rows, columns)
    if len(rows) > MAX_ROWS:
        st.caption(f"The first {MAX_ROWS:,} of {len(rows):,} rows are shown; the exports hold all of them.")
    show_exports(rows)


main()
