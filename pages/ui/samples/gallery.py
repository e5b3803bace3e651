"""Galleries: a grid of thumbnails, or of cards if the run has no images; a click opens the sample."""

from pathlib import Path

import polars as pl
import streamlit as st

from lake.storage.store import Run
from pages.text.samples import describe
from pages.ui.samples.sample_panel import show_sample
from pages.ui.session.addresses import thumbnail

FOLDER = Path(__file__).parent
TILES = 24


def show_gallery(run: Run, frame: pl.DataFrame, *, key: str, caption: str = "loss", open_sample: bool = True) -> None:
    """Show the rows of `frame` as tiles in order; `caption` is the number under each; a click opens the sample."""
    if frame.is_empty():
        st.caption("No samples to show: loosen the filters.")
        return
    pictured = run.has("images")
    items = [_item(run, row, caption, pictured=pictured) for row in frame.iter_rows(named=True)]
    component = st.components.v2.component(
        "latentlake_gallery",
        html='<div class="gallery"></div>',
        css=(FOLDER / "gallery.css").read_text(encoding="utf-8"),
        js=(FOLDER / "gallery.js").read_text(encoding="utf-8"),
    )
    result = component(data={"items": items}, key=key, on_chosen_change=lambda: None)
    if open_sample and result.chosen is not None:
        show_sample(run, int(result.chosen))


def show_paged_gallery(run: Run, frame: pl.DataFrame | pl.LazyFrame, *, key: str, caption: str = "loss") -> None:
    """Show a frame of any length as a gallery, a page at a time; only the page is collected."""
    rows = frame.lazy()
    pages = max(1, -(-rows.select(pl.len()).collect().item() // TILES))
    page = 1
    if pages > 1:
        box, _ = st.columns([1, 6])
        page = box.number_input(f"Page of {pages:,}", 1, pages, key=f"{key}-page-of-{pages}")
    show_gallery(run, rows.slice((page - 1) * TILES, TILES).collect(), key=key, caption=caption)


def _item(run: Run, row: dict[str, object], caption: str, *, pictured: bool) -> dict[str, object]:
    """Return the data of a tile: the image, or the name of the sample in the source."""
    tile = describe(row, caption)
    return {
        "sample_id": tile.sample_id,
        "name": tile.source_name,
        "src": thumbnail(run, tile.sample_id) if pictured else None,
        "first": tile.first,
        "second": tile.second,
        "wrong": tile.wrong,
        "title": tile.title,
    }
