"""The part of the address that a page keeps for itself, beside run and filters."""

from collections.abc import Collection

import streamlit as st


def asked(parameters: Collection[str]) -> dict[str, str]:
    """Those of a page's parameters that the address has."""
    return {name: st.query_params[name] for name in parameters if name in st.query_params}


def keep(parameters: Collection[str], query: dict[str, str]) -> None:
    """Write a page's parameters into the address; those that the query lacks go."""
    for name in parameters:
        if name in query:
            st.query_params[name] = query[name]
        elif name in st.query_params:
            del st.query_params[name]
