"""The path that a proxy keeps before every other, `latentlake serve --base-path`."""

import streamlit as st


def base() -> str:
    """`/lake`, or nothing where there is none."""
    path = (st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""


def below_base(path: str) -> str:
    """The path of a request without the base path, where it begins with it."""
    return path.removeprefix(base()) if path.startswith(f"{base()}/") else path
