"""The app: `latentlake serve`, or `streamlit run streamlit_app.py`.

Streamlit finds `app` and serves it: the frame in `pages/ui/frame/frame.py` plus our own routes, behind the guard. The
frame lives in a folder without a `pages/` beside it, or Streamlit would take that folder for its automatic pages and
answer the first deep link after a start with "page not found".
"""

from pathlib import Path

import streamlit as st

from pages.ui.frame.frame import show
from pages.ui.internals.altair_internals import disable_debug_mode
from pages.ui.server.guard import middleware
from pages.ui.server.routes import list_routes
from pages.ui.server.warm_up import keep_warm

if __name__ == "__main__":
    show()
else:
    disable_debug_mode()
    app = st.App(
        Path(__file__).parent / "pages" / "ui" / "frame" / "frame.py",
        routes=list_routes(),
        middleware=middleware(),
        lifespan=keep_warm,
    )
