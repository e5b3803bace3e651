"""Galleries: a grid of thumbnails; a click opens the sample."""

from pathlib import Path

import polars as pl
import streamlit as st

from lake.store import Run
from pages.ui.routes import thumbnail
from pages.ui.sample_panel import show_sample
from pages.ui.words import number

HERE = Path(__file__).parent
TILES = 24


def show_gallery(run: Run, frame: pl.DataFrame, *, key: str, caption: str = "loss", open_sample: bool = True) -> None:
    """The rows of `frame` as tiles in their order; `caption` is the number under each; a click opens the sample."""
    if frame.is_empty():
        st.caption("No samples to show: loosen the filters.")
        return
    items = [_item(run, row, caption) for row in frame.iter_rows(named=True)]
    component = st.components.v2.component(
        "latentlake_gallery",
        html='<div class="gallery"></div>',
        css=(HERE / "gallery.css").read_text(),
        js=(HERE / "gallery.js").read_text(),
    )
    result = component(data={"items": items}, key=key, on_chosen_change=lambda: None)
    if open_sample and result.chosen is not None:
        show_sample(run, int(result.chosen))


def show_paged_gallery(run: Run, frame: pl.DataFrame, *, key: str, caption: str = "loss") -> None:
    """The gallery of a frame of any length, a page at a time."""
    pages = max(1, -(-len(frame) // TILES))
    page = 1
    if pages > 1:
        box, _ = st.columns([1, 6])
        page = box.number_input(f"Page of {pages:,}", 1, pages, key=f"{key}-page-of-{pages}")
    show_gallery(run, frame.slice((page - 1) * TILES, TILES), key=key, caption=caption)


def _item(run: Run, row: dict[str, object], caption: str) -> dict[str, object]:
    label, predicted, value = row["label"], row["predicted"], row[caption]
    if caption == "loss" and value is None:
        caption, value = "expected loss", row["expected_loss"]
    said = f"{label} called {predicted}" if label and label != predicted else str(label or f"{predicted}?")
    in_sample = "" if row["out_of_sample"] else ", in-sample"
    second = f"{caption.replace('_', ' ')} {number(float(str(value)))}{in_sample}"
    return {
        "sample_id": row["sample_id"],
        "src": thumbnail(run, int(str(row["sample_id"]))),
        "first": said,
        "second": second,
        "wrong": bool(label and label != predicted),
        "title": f"Sample {row['sample_id']}: {said}, {second}",
    }
