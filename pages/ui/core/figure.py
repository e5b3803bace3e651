"""A headline number in a box."""

from typing import Literal

import streamlit as st

from pages.text.glossary import GLOSSARY


def show_figure(
    title: str, value: str, below: str, word: str | None, *, width: int | Literal["stretch"] = "stretch"
) -> None:
    """Show a number with its title, the text below it, and the glossary entry `word` as help."""
    help_text = GLOSSARY[word] if word else None
    st.metric(title, value, below, delta_color="off", delta_arrow="off", border=True, help=help_text, width=width)
