"""Files of the dataset that could not be used: how many, and why."""

import polars as pl
import streamlit as st

from lake.contracts.quality import LEFT_OUT
from lake.storage.store import Run
from pages.ui.core import data

EXAMPLES = 3


def show_quarantine(run: Run) -> None:
    """Show how many files could not be used, by reason with examples; nothing if all could."""
    unusable = data.table(run, "quarantine").filter(pl.col("reason") != LEFT_OUT)
    if unusable.is_empty():
        return
    files = "file" if len(unusable) == 1 else "files"
    with st.expander(f"{len(unusable):,} {files} could not be used", icon=":material/report:"):
        st.dataframe(
            count_reasons(unusable),
            hide_index=True,
            column_config={
                "reason": st.column_config.TextColumn("Why"),
                "n": st.column_config.NumberColumn("Files", format="localized"),
                "examples": st.column_config.TextColumn("For example", width="large"),
            },
        )


def count_reasons(unusable: pl.DataFrame) -> pl.DataFrame:
    """Return the number of files by reason, most frequent first, with the first few names."""
    by_reason = unusable.sort("source_name").group_by("reason", maintain_order=True)
    examples = pl.col("source_name").head(EXAMPLES).str.join(", ").alias("examples")
    return by_reason.agg(pl.len().cast(pl.Int64).alias("n"), examples).sort("n", "reason", descending=[True, False])
