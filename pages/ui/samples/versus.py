"""Two groups of samples side by side: their differences in words, pictures and numbers."""

import polars as pl
import streamlit as st

from lake.comparison.differences import measure
from lake.storage.store import Run
from pages.text.formatting import plain, pluralize
from pages.ui.core.differences import say_differences, show_differences
from pages.ui.samples.gallery import show_gallery

TILES = 8
ATTRIBUTES = "Background is the border ring and object the centre of the image: a proxy."


def show_versus(run: Run, samples: pl.DataFrame, inside: pl.Series, names: tuple[str, str], *, order: str) -> None:
    """Compare the samples where `inside` is true with the others of the frame, each lowest first by `order`."""
    first, others = names
    measured = measure(samples, [inside.to_numpy()])
    st.markdown(f"**{plain(first)} against {plain(others)}:** {say_differences(measured, others='there')}")
    for column, name, part in zip(st.columns(2, gap="large"), names, (inside, ~inside), strict=True):
        with column:
            members = samples.filter(part)
            st.caption(f"{plain(name)}: {pluralize(len(members), 'sample')}")
            show_gallery(run, members.sort(order, "sample_id").head(TILES), key=f"versus-{name}")
    with st.expander("Every property"):
        show_differences(measured, first, others)
        st.caption(f"{ATTRIBUTES} Medians; p values are adjusted over the rows of this table.")
