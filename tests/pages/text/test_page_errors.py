"""Errors in fragments and dialogs are told as those of the page are."""

import pytest
from streamlit.testing.v1 import AppTest

from tests.support.servers.apps import shown


def fail_in_a_fragment() -> None:
    import streamlit as st

    from lake.errors import UsageError
    from pages.ui.core.page_errors import show_lake_errors

    @st.fragment
    @show_lake_errors()
    def draw() -> None:
        error = st.selectbox("Error", ["none", "foreseen", "not foreseen"])
        if error != "none":
            raise UsageError("Take another lake.") if error == "foreseen" else ZeroDivisionError("secret")
        st.caption("drawn")

    draw()
    st.caption("the page goes on")


@pytest.mark.parametrize(
    ("error", "said"), [("foreseen", "Take another lake."), ("not foreseen", "of the server's log")]
)
def test_an_error_in_a_fragment_is_a_sentence_in_its_place(
    error: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = AppTest.from_function(fail_in_a_fragment).run()
    assert not app.error and "drawn" in shown(app)
    app.selectbox[0].select(error).run()
    assert not app.exception and [said in e.value for e in app.error] == [True]
    assert "secret" not in shown(app) and "the page goes on" in shown(app)
