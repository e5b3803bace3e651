"""Errors shown on the page, also those of fragments and dialogs, which Streamlit reruns without the page."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from lake.errors import UserError
from lake.storage.damage import reading
from lake.storage.places import default_root
from pages.ui.session import telemetry


@contextmanager
def show_errors() -> Iterator[None]:
    """Show an error raised in the block as a message on the page, and count and log it."""
    try:
        yield
    except UserError as error:
        telemetry.count_error(error)
        st.error(str(error), icon=":material/error:")
    except Exception as error:
        telemetry.count_error(error)
        st.error(_describe_unforeseen(error), icon=":material/error:")


@contextmanager
def show_lake_errors() -> Iterator[None]:
    """Apply `show_errors` to code that reads the lake, in a fragment or a dialog."""
    with show_errors(), reading(default_root()):
        yield


def _describe_unforeseen(error: Exception) -> str:
    reference = telemetry.log_unforeseen(error)
    return (
        "This page failed with an unexpected error. "
        f"Please report it together with this entry of the server's log: {reference}."
    )
