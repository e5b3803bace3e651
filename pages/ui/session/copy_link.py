"""A button that copies a link to what the reader sees, pinned to the run."""

from pathlib import Path

import streamlit as st

FOLDER = Path(__file__).parent


def copy_link(label: str, *, key: str, query: str | None = None) -> None:
    """Show a button that copies the URL of the page, or of the start page with `query` (an encoded query string)."""
    component = st.components.v2.component(
        "latentlake_copy_link",
        html='<button type="button" class="copy"></button><span class="said" role="status"></span>',
        css=(FOLDER / "copy_link.css").read_text(encoding="utf-8"),
        js=(FOLDER / "copy_link.js").read_text(encoding="utf-8"),
    )
    component(data={"label": label, "query": query}, key=key)
