"""A headline number in a box."""

from typing import Literal

import streamlit as st

from pages.text.words import GLOSSARY


def show_figure(
    title: str, value: str, below: str, word: str | None, *, width: int | Literal["stretch"] = "stretch"
) -> None:
    """The number under its title, what qualifies it below, and what `word` of the glossary means."""
    explained = GLOSSARY[word] if word else None
    st.metric(title, value, below, delta_color="off", delta_arrow="off", border=True, help=explained, width=width)
