"""Samples: the table of all measurements; filter in the sidebar, choose columns, sort and export here."""

import polars as pl
import streamlit as st

from lake.query import queries
from lake.query.integers import ids_as_text
from lake.storage.store import Run
from pages.text.formatting import column_title, number
from pages.ui.core import data, filters
from pages.ui.groups.histograms import show_histograms
from pages.ui.samples.exports import show_exports
from pages.ui.samples.sample_panel import show_sample
from pages.ui.session.addresses import thumbnail_folder
from pages.ui.table import table_session
from pages.ui.table.pivot import show_pivot
from pages.ui.table.saved_views import show_views
from pages.ui.table.table_columns import columns_of
from pages.ui.table.table_controls import choose_columns, choose_order
from pages.ui.table.table_state import TableState

MAX_ROWS = 2000
HEIGHT, PICTURE_HEIGHT, TEXT_HEIGHT = 560, 44, 35


def show_answer(frame: pl.LazyFrame) -> int:
    """Show how many rows pass and their errors; return how many pass."""
    total = queries.accuracy(frame.filter(pl.col("out_of_sample"))).collect().row(0, named=True)
    rows: int = frame.select(pl.len()).collect().item()
    sentence = f"**{rows:,} samples** pass the filters"
    if total["n"]:
        sentence += (
            f"; of the {total['n']:,} labelled held-out ones {total['n'] - total['hits']:,} are wrong, "
            f"at a mean loss of {number(total['mean_loss'])} nats"
        )
    st.markdown(f"## {sentence}.")
    return rows


def sort_rows(frame: pl.LazyFrame, state: TableState) -> pl.LazyFrame:
    """Sort the rows; nulls last, ties by sample id."""
    by, descending = [order.column for order in state.sort], [order.descending for order in state.sort]
    return frame.sort(*by, "sample_id", descending=[*descending, False], nulls_last=True)


def show_table(run: Run, rows: pl.LazyFrame, columns: list[str]) -> None:
    """Show the first rows with thumbnails, or names in the source; a selected row opens its sample."""
    pictured = run.has("images")
    image = (pl.lit(thumbnail_folder(run)) + pl.col("sample_id").cast(pl.String) + ".png").alias("image")
    other_columns = columns if pictured else ["source_name", *(c for c in columns if c != "source_name")]
    shown = rows.head(MAX_ROWS).select("sample_id", *([image] if pictured else []), *other_columns)
    table = ids_as_text(shown.collect())
    row_height = PICTURE_HEIGHT if pictured else TEXT_HEIGHT
    column_config = {c: st.column_config.Column(column_title(c)) for c in columns}
    column_config |= {
        c: st.column_config.NumberColumn(column_title(c), format="%.3f") for c in columns if table.schema[c].is_float()
    }
    state = st.dataframe(
        table,
        hide_index=True,
        height=min(HEIGHT, row_height * (len(table) + 1)),
        row_height=row_height,
        on_select="rerun",
        selection_mode="single-row",
        key="sample-table",
        column_config={
            "sample_id": st.column_config.NumberColumn("Sample", format="%d", pinned=True),
            "image": st.column_config.ImageColumn("Image", width="small"),
            "source_name": st.column_config.TextColumn(column_title("source_name"), width="medium"),
            **column_config,
        },
    )
    selected = [row for row in state["selection"]["rows"] if row < len(table)]
    if selected and st.session_state.get("opened-row") != selected[0]:
        show_sample(run, int(table["sample_id"][selected[0]]))
    st.session_state["opened-row"] = selected[0] if selected else None


def main() -> None:
    run = data.current_run()
    st.title("Samples")
    frame = filters.filtered(run)
    state = table_session.start(run)
    n = show_answer(frame)
    with st.container(horizontal=True, gap="small"):
        choose_columns(run)
        choose_order(run)
        show_views(run)
    there = set(columns_of(run))
    columns = tuple(column for column in state.columns if column in there)
    show_histograms(run, columns)
    rows = sort_rows(frame, state)
    show_table(run, rows, list(columns))
    if n > MAX_ROWS:
        st.caption(f"The first {MAX_ROWS:,} of {n:,} rows are shown; the files hold all of them.")
    show_exports(rows, ["sample_id", *columns], n=n, name="samples")
    show_pivot(run, frame)
    table_session.keep_address()


main()
