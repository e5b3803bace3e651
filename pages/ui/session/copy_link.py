"""A button that copies a link to what the reader sees, pinned to the run."""

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent


def copy_link(label: str, *, key: str, query: str | None = None) -> None:
    """The button; it copies the page's address as it is, or the start page's with `query` (an encoded query string)."""
    component = st.components.v2.component(
        "latentlake_copy_link",
        html='<button type="button" class="copy"></button><span class="said" role="status"></span>',
        css=(HERE / "copy_link.css").read_text(encoding="utf-8"),
        js=(HERE / "copy_link.js").read_text(encoding="utf-8"),
    )
    component(data={"label": label, "query": query}, key=key)
