"""The query parameters of a single page, besides run and filters."""

from collections.abc import Collection

import streamlit as st


def read_parameters(parameters: Collection[str]) -> dict[str, str]:
    """Return those of a page's parameters that the URL has."""
    return {name: st.query_params[name] for name in parameters if name in st.query_params}


def write_parameters(parameters: Collection[str], query: dict[str, str]) -> None:
    """Write a page's parameters into the URL; those that `query` lacks are removed."""
    for name in parameters:
        if name in query:
            st.query_params[name] = query[name]
        elif name in st.query_params:
            del st.query_params[name]
