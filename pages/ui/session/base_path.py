"""The base path below which the app is served, `latentlake serve --base-path`."""

import streamlit as st


def base() -> str:
    """Return the base path without a trailing slash, such as `/lake`; empty if there is none."""
    path = (st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""


def below_base(path: str) -> str:
    """Return the path of a request without the base path that it begins with."""
    return path.removeprefix(base()) if path.startswith(f"{base()}/") else path
