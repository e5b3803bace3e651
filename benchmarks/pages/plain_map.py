"""A plain version of the same map for comparison in `app.py`: an altair mark for every sample, and a box selection."""

import altair as alt
import polars as pl
import streamlit as st

from lake.query import joined_samples
from lake.storage.store import Lake, default_root


@st.cache_data
def samples() -> pl.DataFrame:
    """The columns needed to draw each sample of the latest run."""
    columns = ["sample_id", "x", "y", "label", "predicted", "loss"]
    return joined_samples.scan_samples(Lake(default_root()).run()).select(columns).collect()


st.set_page_config(layout="wide")
chart = (
    alt.Chart(samples())
    .mark_circle()
    .encode(x="x:Q", y="y:Q", color="label:N", size="loss:Q", tooltip=["sample_id", "label", "predicted", "loss"])
    .add_params(alt.selection_interval(name="box"))
    .properties(height=600)
)
st.altair_chart(chart, on_select="rerun", key="map")
