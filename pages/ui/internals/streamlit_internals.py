"""The undocumented interfaces of Streamlit that the app uses; no other module uses any.

Any version may move or change them. `tests/pages/ui/test_streamlit_internals.py` uses each of them as the app does and
names the one that changed; checked since 1.67.

`altair_settings`: the lock that Streamlit holds while it draws a chart with other settings of altair, which apply to
all threads. Code that writes a chart to a file holds it too.

`cookie_content` and the four names it uses: the content of the login cookie, read as Streamlit's own websocket does, so
that routes and pages recognise the same users.

`get_origin_from_redirect_uri`: the origin that such a cookie is valid for.

`is_authlib_installed`, `validate_auth_credentials`, `StreamlitAuthError`: checks of the login when the server starts,
instead of when the first reader presses the button.

`get_logger`: a logger with the output and format of the server.

`get_static_dir`: the folder of the HTML page that the app serves at every URL.

`serve`: the command `streamlit run`, with a settings file of the app instead of those in the working folder and the
home folder.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from streamlit import config
from streamlit.auth_util import (
    get_cookie_with_chunks,
    get_origin_from_redirect_uri,
    is_authlib_installed,
    validate_auth_credentials,
)
from streamlit.elements.vega_charts import _altair_globals_lock as altair_settings
from streamlit.errors import StreamlitAuthError
from streamlit.file_util import get_static_dir
from streamlit.logger import get_logger
from streamlit.web import cli
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

__all__ = [
    "CHATTER",
    "USER_COOKIE_NAME",
    "StreamlitAuthError",
    "altair_settings",
    "cookie_content",
    "get_logger",
    "get_origin_from_redirect_uri",
    "get_static_dir",
    "is_authlib_installed",
    "serve",
    "validate_auth_credentials",
]
CHATTER = ("streamlit.runtime.caching.cache_data_api", "streamlit.runtime.scriptrunner_utils.script_run_context")
"""Loggers with irrelevant warnings about reads before the first page is open."""


def cookie_content(cookies: Mapping[str, str]) -> bytes | None:
    """Return the signed content of the login cookie of a request; None if it is missing, forged or expired."""
    secret = get_cookie_secret()

    def read(name: str) -> bytes | None:
        return decode_signed_value(secret, name, cookies[name].encode("latin-1")) if name in cookies else None

    return get_cookie_with_chunks(read, USER_COOKIE_NAME)


def serve(script: Path, options: list[str], *, settings: Path) -> None:
    """Run the app until the process is stopped; `options` are flags of `streamlit run`."""
    for name in CHATTER:
        logging.getLogger(name).addFilter(lambda record: record.levelno > logging.WARNING)
    find_files = config.get_config_files
    config.get_config_files = lambda file_name: [str(settings)] if file_name == "config.toml" else find_files(file_name)
    cli.main(["run", str(script), *options], prog_name="streamlit")
