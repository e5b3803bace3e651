"""Errors as sentences on the page, in its fragments and dialogs too, which Streamlit runs again without the page."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from lake.errors import UserError
from lake.storage.damage import reading
from lake.storage.places import default_root
from pages.ui.session import telemetry


@contextmanager
def tell_errors() -> Iterator[None]:
    """Ends a block that fails with a sentence for the reader, and counts and logs what it failed with."""
    try:
        yield
    except UserError as error:
        telemetry.count_error(error)
        st.error(str(error), icon=":material/error:")
    except Exception as error:
        telemetry.count_error(error)
        st.error(_say_unforeseen(error), icon=":material/error:")


@contextmanager
def read_lake() -> Iterator[None]:
    """`tell_errors` around what reads the lake, for a fragment or a dialog."""
    with tell_errors(), reading(default_root()):
        yield


def _say_unforeseen(error: Exception) -> str:
    reference = telemetry.log_unforeseen(error)
    return (
        "Something on this page failed by an error that latentlake does not know. "
        f"Please report it with what the server's log has under {reference}."
    )
